/** Gateways found by mDNS: what is read of announcements, how little a hostile network can do, and that two processes' worth of sockets find each other on loopback. */
import dgram from "node:dgram";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import * as fc from "fast-check";
import mdns from "multicast-dns";
import { describe, expect, test } from "vitest";
import { announce } from "../src/discovery/announce.ts";
import { browse, findPairing } from "../src/discovery/browse.ts";
import { modestSocket } from "../src/discovery/modest-socket.ts";
import { chooseGateway } from "../src/discovery/choose.ts";
import { parseAnnouncement, recordsOf, SERVICE, type Announced, type Answer } from "../src/discovery/service.ts";
import type { Context } from "../src/context.ts";
import { readSecret } from "../src/ui/secret.ts";
import { Terminal } from "../src/ui/terminal.ts";
import { fakeTerminal } from "./support.ts";

const MESH = "abcdefgh234567ab";
const HARBOR: Announced = {
  meshId: MESH,
  mesh: "harbor",
  ips: ["192.0.2.10", "2001:db8::1"],
  port: 7420,
  pairingPort: 7421,
};

/** The announcement of {@link HARBOR} with another text. */
const withText = (data: Buffer[]): Answer[] => [
  ...recordsOf(HARBOR).filter(({ type }) => type !== "TXT"),
  { name: `${MESH}.${SERVICE}`, type: "TXT", ttl: 1, data },
];

const withTxt = (...entries: readonly string[]): Answer[] => withText(entries.map((entry) => Buffer.from(entry)));

describe("an announcement", () => {
  test("is read back as it was said, with the pairing endpoint only while it is open", () => {
    const hosts = ["192.0.2.10", "2001:db8::1"];
    expect(parseAnnouncement(recordsOf(HARBOR))).toEqual({
      meshId: MESH,
      mesh: "harbor",
      addresses: hosts.map((host) => ({ host, port: 7420 })),
      pairing: hosts.map((host) => ({ host, port: 7421 })),
    });
    const { pairingPort: _, ...closed } = HARBOR;
    expect(parseAnnouncement(recordsOf(closed))?.pairing).toEqual([]);
  });

  test("that takes one back, is of another version or of no mesh, or has no address, is none", () => {
    expect(parseAnnouncement(recordsOf(HARBOR, 0))).toBeUndefined();
    expect(parseAnnouncement(withTxt("v=2", `mesh=${MESH}`))).toBeUndefined();
    expect(parseAnnouncement(withTxt("v=1", "mesh=../../etc"))).toBeUndefined();
    expect(parseAnnouncement(recordsOf({ ...HARBOR, ips: [] }))).toBeUndefined();
    expect(parseAnnouncement(recordsOf({ ...HARBOR, port: 0 }))).toBeUndefined();
  });

  test("cannot draw on a terminal, nor fill it", () => {
    const evil = "\u001B[2J\u0007\u202Eharbor\r\nApprove? y";
    const name = parseAnnouncement(withTxt("v=1", `mesh=${MESH}`, `name=${evil}`))?.mesh ?? "";
    expect(name).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    const long = parseAnnouncement(withTxt("v=1", `mesh=${MESH}`, `name=${"x".repeat(200)}`))?.mesh;
    expect(long).toHaveLength(64);
    const huge = Array.from({ length: 40 }, (_, index) => `k${index}=${"x".repeat(200)}`);
    expect(parseAnnouncement(withTxt("v=1", `mesh=${MESH}`, ...huge))).toBeUndefined();
  });

  test("leads to a bounded number of single machines' addresses, and to nobody's and everybody's not at all", () => {
    const many = Array.from({ length: 40 }, (_, index): Answer => ({
      name: `${MESH}.local`,
      type: "A",
      data: `192.0.2.${index}`,
    }));
    expect(parseAnnouncement([...recordsOf({ ...HARBOR, ips: [] }), ...many])?.addresses).toHaveLength(8);
    expect(parseAnnouncement([...recordsOf(HARBOR), ...many, ...many])).toBeUndefined();
    const ips = ["0.0.0.0", "255.255.255.255", "224.0.0.251", "239.1.1.1", "::", "ff02::fb", "fe80::1"];
    const records = ips.map((data): Answer => ({
      name: `${MESH}.local`,
      type: data.includes(":") ? "AAAA" : "A",
      data,
    }));
    expect(parseAnnouncement([...recordsOf({ ...HARBOR, ips: [] }), ...records])).toBeUndefined();
  });

  test("whatever its text, is read without an exception, and what is read stays within the bounds", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (entries) => {
        const data = [Buffer.from("v=1"), Buffer.from(`mesh=${MESH}`), ...entries.map((entry) => Buffer.from(entry))];
        const read = parseAnnouncement(withText(data));
        expect((read?.mesh ?? "").length).toBeLessThanOrEqual(64);
        expect(read?.mesh ?? "").not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
      }),
    );
  });
});

/** A free UDP port of loopback, to speak mDNS on without being heard by anybody else. */
async function freePort(): Promise<number> {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Whether loopback carries multicast here. */
async function carriesMulticast(): Promise<boolean> {
  const port = await freePort();
  const [one, other] = [dgram.createSocket({ type: "udp4", reuseAddr: true }), dgram.createSocket("udp4")];
  try {
    one.bind(port, "0.0.0.0");
    await once(one, "listening");
    one.addMembership("224.0.0.251", "127.0.0.1");
    other.bind(0, "127.0.0.1");
    await once(other, "listening");
    other.setMulticastInterface("127.0.0.1");
    const heard = once(one, "message", { signal: AbortSignal.timeout(5000) });
    other.send("here", port, "224.0.0.251");
    await heard;
    return true;
  } catch {
    return false;
  } finally {
    one.close();
    other.close();
  }
}

const hasMulticast = await carriesMulticast();
if (!hasMulticast) console.warn("SKIPPED: loopback carries no multicast here, so announcing and finding are not tried");

const LOOPBACK = { ...HARBOR, ips: ["127.0.0.1"] };

describe.skipIf(!hasMulticast)("on loopback", () => {
  test("what is announced is found, with what it says now, and by its mesh alone where a mesh is looked for", async () => {
    const port = await freePort();
    let current: Announced = LOOPBACK;
    await using _announced = announce(() => current, { interface: "127.0.0.1", port });
    const near = { interfaces: ["127.0.0.1"], port, timeoutMs: 30_000 };
    const found = await browse({ ...near, until: () => true });
    expect(found).toMatchObject([{ meshId: MESH, mesh: "harbor", pairing: [{ host: "127.0.0.1", port: 7421 }] }]);
    expect(await findPairing(MESH, near)).toEqual([{ host: "127.0.0.1", port: 7421 }]);
    expect(await findPairing("bbbbbbbbbbbbbbbb", { ...near, timeoutMs: 700 })).toEqual([]);
    const { pairingPort: _, ...closed } = LOOPBACK;
    current = closed;
    expect(await findPairing(MESH, { ...near, timeoutMs: 700 })).toEqual([]);
  });

  test("a flood of announcements ends the looking and is cut to what a person can choose from", async () => {
    const port = await freePort();
    const flood = mdns({ interface: "127.0.0.1", port, bind: "0.0.0.0" });
    flood.on("warning", () => undefined);
    flood.on("query", (_, from) => {
      for (let index = 0; index < 200; index += 1) {
        flood.respond({ answers: recordsOf({ ...LOOPBACK, mesh: `mesh ${index}` }) }, from);
      }
    });
    const found = await browse({ interfaces: ["127.0.0.1"], port, timeoutMs: 20_000 });
    expect(found).toHaveLength(16);
    await new Promise<void>((resolve) => {
      flood.destroy(resolve);
    });
  });

  test("a packet that claims hundreds of records is not read, and what comes after it is", async () => {
    await using socket = modestSocket();
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    const sender = dgram.createSocket("udp4");
    const header = (counts: readonly number[]) => {
      const packet = Buffer.alloc(12);
      for (const [index, count] of counts.entries()) packet.writeUInt16BE(count, 4 + 2 * index);
      return packet;
    };
    const heard = once(socket, "message");
    const { port } = socket.address();
    for (const packet of [
      Buffer.alloc(11),
      header([0, 65_535, 0, 0]),
      header([33, 32, 32, 32]),
      header([32, 32, 32, 32]),
    ]) {
      await new Promise<void>((resolve) => {
        sender.send(packet, port, "127.0.0.1", () => resolve());
      });
    }
    expect((await heard)[0]).toEqual(header([32, 32, 32, 32]));
    sender.close();
  });

  test("a question that is no question about gateways is not answered, and a signal ends the looking", async () => {
    const port = await freePort();
    await using _announced = announce(() => LOOPBACK, { interface: "127.0.0.1", port });
    const socket = dgram.createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    socket.setMulticastInterface("127.0.0.1");
    const asker = mdns({ socket, bind: false as unknown as string, multicast: false, port });
    const names: string[] = [];
    asker.on("response", ({ answers = [] }) => names.push(...answers.map(({ name }) => name)));
    asker.query({ questions: [{ name: "_other._udp.local", type: "PTR" }] });
    asker.query({ questions: [{ name: SERVICE, type: "PTR" }] });
    await expect.poll(() => names.length).toBeGreaterThan(0);
    expect(names).toHaveLength(recordsOf(LOOPBACK).length);
    await new Promise<void>((resolve) => {
      asker.destroy(resolve);
    });
    const over = new AbortController();
    const looking = browse({ interfaces: ["127.0.0.1"], port, timeoutMs: 60_000, signal: over.signal });
    over.abort(new Error("enough"));
    await expect(looking).rejects.toThrow("enough");
  });
});

describe("choosing", () => {
  const gateway = (mesh: string, host: string, isOpen: boolean) => ({
    meshId: MESH,
    mesh,
    addresses: [{ host, port: 7420 }],
    pairing: isOpen ? [{ host, port: 7421 }] : [],
  });
  const FOUND = [
    gateway("harbor", "192.0.2.10", true),
    gateway("closed", "192.0.2.11", false),
    gateway("quay", "192.0.2.12", true),
  ];

  const choose = async (typed: string, found = FOUND) => {
    const { terminal, stdin, stderr } = fakeTerminal({ isTTY: true });
    const context: Context = { terminal, signal: new AbortController().signal, inherited: () => [], now: Date.now };
    stdin.end(typed);
    const chosen = await chooseGateway(context, found).catch((cause: unknown) => cause);
    return { chosen, text: stderr.text };
  };

  test("is by number, among those that can be joined, and says that nothing of it is proved", async () => {
    const { chosen, text } = await choose("2\n");
    expect(chosen).toEqual({ host: "192.0.2.12", port: 7421 });
    expect(text).toContain('1  "harbor"');
    expect(text).toContain("the PIN decides");
    expect(text).not.toContain("closed");
  });

  test("leaves the terminal to the PIN that is asked for next", async () => {
    const { terminal: screen } = fakeTerminal({ isTTY: true });
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    const terminal = new Terminal({ ...screen.streams, stdin });
    const context: Context = { terminal, signal: new AbortController().signal, inherited: () => [], now: Date.now };
    const choosing = chooseGateway(context, FOUND);
    stdin.write("1\n");
    await choosing;
    const asking = readSecret(context, "PIN: ");
    stdin.write("48217093\r");
    expect(await asking).toBe("48217093");
  });

  test("of nothing, or by no number, is no choice", async () => {
    expect((await choose("\n")).chosen).toMatchObject({ code: "USAGE" });
    const none = (await choose("1\n", FOUND.slice(1, 2))).chosen;
    expect(none).toMatchObject({ code: "NOT_FOUND", seen: [expect.stringContaining('"closed"')] });
  });
});
