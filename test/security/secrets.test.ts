/** Keys never leave devices, and codes are written nowhere: a device pairs by PIN and another by ticket, over real QUIC; they run, publish and renew; then everything that was sent or stored is searched. */
import { createPrivateKey } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { parsePin, parseTicket, type Ticket } from "@quaymesh/identity";
import { join as joinMesh, Node, type JoinInvitation } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openProxy, type Proxy } from "../network/proxy.ts";
import { needleOf, needlesOf, scan, type Needle, type Place } from "./scan.ts";
import { Tap, tapped } from "./tapped.ts";

interface Evidence {
  readonly places: readonly Place[];
  /** What is searched for everywhere but in the device's own state. */
  readonly needles: readonly Needle[];
  /** Files of the devices, where their keys have to be. */
  readonly own: readonly Place[];
  readonly keys: readonly Needle[];
}

let evidence: Evidence;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "quaymesh-secrets-"));
  evidence = await gather(directory);
}, 240_000);
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("no device's key, no PIN and no ticket's secret is in anything that was sent, stored or logged", () => {
  const { places, needles } = evidence;
  // It was looked into something: frames in the clear, datagrams, the database with its log, what was logged.
  const sizes = new Map(places.map(({ name, bytes }) => [name, bytes.length]));
  for (const name of ["frames of nodes", "frames of the gateway", "datagrams", "logs"]) {
    expect(sizes.get(name), name).toBeGreaterThan(500);
  }
  expect([...sizes.keys()].some((name) => /\.db|sqlite/u.test(name))).toBe(true);
  expect(needles.length).toBeGreaterThan(40);
  expect(scan(places, needles)).toEqual([]);
});

test("the search finds a device's key where it has to be: in that device's own state", () => {
  const { own, keys } = evidence;
  expect(scan(own, keys).length).toBeGreaterThan(0);
});

test("the search finds each secret in each of its forms, in the middle of anything", () => {
  const { places, needles } = evidence;
  const some = places.find(({ name }) => name === "frames of nodes");
  if (some === undefined) throw new Error("no frames");
  for (const needle of needles) {
    const at = some.bytes.length >> 1;
    const planted = Buffer.concat([some.bytes.subarray(0, at), needle.bytes, some.bytes.subarray(at)]);
    expect(scan([{ name: "planted", bytes: planted }], [needle])).toEqual([`${needle.what} in planted`]);
  }
});

test("a secret inside a longer text in base64 or base32 is found wherever it begins", () => {
  const secret = Buffer.from("0123456789abcdef0123456789abcdef", "hex");
  for (let before = 0; before < 5; before++) {
    const longer = Buffer.concat([Buffer.alloc(before, 0xff), secret, Buffer.alloc(7, 0xee)]);
    for (const form of ["base64", "base64url", "hex"] as const) {
      const place = { name: form, bytes: Buffer.from(longer.toString(form)) };
      expect(scan([place], needlesOf("it", secret)).length, `${form} after ${String(before)}`).toBeGreaterThan(0);
    }
  }
});

async function gather(root: string): Promise<Evidence> {
  const [nodes, gateways] = [new Tap(), new Tap()];
  const logs: string[] = [];
  const log = (fields: unknown, message: string): void => void logs.push(`${message} ${JSON.stringify(fields)}`);
  const quic = createQuicTransport();
  const transport = tapped(quic, nodes);
  const state = join(root, "gateway");
  const listen = { host: "127.0.0.1", port: 0 };
  const childModule = new URL("../../packages/cli/src/pairing-child.ts", import.meta.url);
  const datagrams = new Tap();
  const secrets: { tickets: Ticket[]; pins: string[]; links: string[] } = { tickets: [], pins: [], links: [] };
  {
    await using gateway = await Gateway.open({
      transport: tapped(quic, gateways),
      state,
      listen,
      pairing: { childModule, listen },
      logger: { debug: log, info: log, warn: log, error: log },
    });
    await using client = await connect({ state });
    await using stack = new AsyncDisposableStack();
    for (const code of ["pin", "ticket"] as const) {
      const own = join(root, code);
      const window = await client.pairing.open({ name: code, code });
      const [, port = ""] = window.addresses[0]?.split(":") ?? [];
      const proxy = stack.use(await watchedProxy(Number(port), datagrams));
      const address = { host: "127.0.0.1", port: proxy.port };
      const invitation: JoinInvitation =
        code === "pin"
          ? { kind: "pin", address, pin: parsePin(window.pin) }
          : { kind: "ticket", ticket: { ...parseTicket(window.link, { now: Date.now() }), addresses: [address] } };
      if (code === "pin") secrets.pins.push(window.pin.replaceAll(/\D/gu, ""));
      else {
        secrets.links.push(window.link);
        secrets.tickets.push(parseTicket(window.link, { now: Date.now() }));
      }
      await pairAndRun(client, { own, transport, invitation, windowId: window.windowId, name: code });
    }
    void gateway;
  }
  const own = await filesOf(root, ["pin", "ticket"]);
  const keyFiles = own.filter(({ bytes }) => bytes.includes("PRIVATE KEY"));
  const keys = keyFiles.flatMap(({ bytes }, index) => keyNeedles(`device key ${String(index + 1)}`, bytes.toString()));
  const needles = [
    ...keys,
    ...secrets.pins.flatMap((pin) => [
      needleOf("a PIN", pin),
      needleOf("a PIN in groups", `${pin.slice(0, 4)} ${pin.slice(4)}`),
      needleOf("a PIN in groups with a dash", `${pin.slice(0, 4)}-${pin.slice(4)}`),
    ]),
    ...secrets.tickets.flatMap(({ secret }) => needlesOf("a ticket's secret", secret.reveal())),
    ...secrets.links.map((link) => needleOf("a ticket", link.slice(5))),
  ];
  const places: Place[] = [
    { name: "frames of nodes", bytes: nodes.bytes },
    { name: "frames of the gateway", bytes: gateways.bytes },
    { name: "datagrams", bytes: datagrams.bytes },
    { name: "logs", bytes: Buffer.from(logs.join("\n")) },
    ...(await filesOf(root, ["gateway"])),
    // A device's own state has its key, in that one file, and no code.
    ...own.filter((file) => !keyFiles.includes(file)),
  ];
  expect(keyFiles).toHaveLength(2);
  return { places, needles, own, keys };
}

interface Pairing {
  readonly own: string;
  readonly transport: ReturnType<typeof tapped>;
  readonly invitation: JoinInvitation;
  readonly windowId: string;
  readonly name: string;
}

async function pairAndRun(client: GatewayClient, pairing: Pairing): Promise<void> {
  const { own, transport, invitation, windowId, name } = pairing;
  const joining = joinMesh({ state: own, transport, invitation });
  joining.catch(() => undefined);
  for await (const { state: at, request } of client.pairing.watch(windowId)) {
    if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (at === "issued") break;
  }
  await joining;
  await using node = await Node.open({ state: own, transport });
  const running = node.run();
  await node.publish("test.tick", { name });
  await vi.waitFor(() => expect(node.state.kind).toBe("online"), { timeout: 60_000 });
  const before = node.identity.chainPem;
  await client.devices.rotate(name);
  await vi.waitFor(() => expect(node.identity.chainPem).not.toBe(before), { timeout: 60_000 });
  await node.stop();
  await running;
}

/** A way to the pairing endpoint on which every datagram is written down. */
async function watchedProxy(upstreamPort: number, tap: Tap): Promise<Proxy> {
  return openProxy({ upstreamPort, onDatagram: (bytes) => tap.note(bytes) });
}

/** The key as PKCS #8 and SEC 1, the bare scalar, and the lines of its PEM. */
function keyNeedles(what: string, pem: string): readonly Needle[] {
  const key = createPrivateKey(pem);
  const scalar = Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
  // PKCS #8 and SEC 1 both hold the scalar as it is, so whatever has either has these bytes.
  const lines = pem.split("\n").filter((line) => line.length >= 40 && !line.startsWith("-----"));
  return [
    ...needlesOf(`${what}: the scalar`, scalar),
    ...needlesOf(`${what}: PKCS #8`, key.export({ format: "der", type: "pkcs8" })),
    ...needlesOf(`${what}: SEC 1`, key.export({ format: "der", type: "sec1" })),
    ...lines.map((line) => needleOf(`${what}: a line of PEM`, line)),
  ];
}

async function filesOf(root: string, names: readonly string[]): Promise<readonly Place[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const entries = await readdir(join(root, name), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    }),
  );
  const read = async (path: string): Promise<Place> => ({ name: relative(root, path), bytes: await readFile(path) });
  return Promise.all(found.flat().map(read));
}
