import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KeyPair, Secret } from "@quaymesh/identity";
import { encodeFrame, MessageStream, parsePairToNode, type RemoteError } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { OpenedWindow } from "../../src/pairing/service.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { openRoom } from "./room.ts";
import { tcpTransport } from "./tcp-transport.ts";

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The text of a window's ticket, or its PIN. */
function shown({ code }: OpenedWindow): string {
  return code.kind === "ticket" ? code.link.reveal() : code.pin.reveal();
}

describe("pairing through the endpoint's process", () => {
  test("a ticket, a proof, the same words on both sides, an approval, a certificate, a first session", async () => {
    await using room = await openRoom();
    const window = await room.open({ name: "build-box", labels: ["gpu"], purpose: "builds" });
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const words = await node.until("show-words");
    const pending = await follower.until("pending");
    expect(pending.request?.words).toEqual(words.words);
    expect(pending.request).toMatchObject({ name: "build-box", platform: "linux x64", deviceId: undefined });
    expect(pending.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/u);
    const requestId = pending.request?.requestId ?? "";
    expect(await room.desk.requests()).toMatchObject([{ requestId, state: "pending" }]);
    const approved = await room.desk.approve(requestId);
    expect(approved.state).toBe("issued");
    const { deviceId } = await node.until("paired");
    expect(deviceId).toBe(approved.deviceId);
    room.online(deviceId);
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "approved", "issued", "active"]);
    const device = await room.store.devices.get(deviceId);
    expect(device).toMatchObject({ name: "build-box", labels: ["gpu"], purpose: "builds", revoked: false });
    expect(room.desk.isOpen).toBe(false);
    await expect.poll(() => room.desk.requests()).toMatchObject([{ state: "active", deviceId }]);
  });

  test("an 8-digit PIN does the same, one window at a time", async () => {
    await using room = await openRoom();
    const window = await room.open({ code: "pin" });
    await expect(room.open({ code: "pin" })).rejects.toMatchObject({ code: "WINDOW_LIMIT" });
    expect(shown(window)).toMatch(/^\d{8}$/u);
    const pin = new Secret(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(room.endpoint.address, { kind: "pin", pin });
    const pending = await follower.until("pending");
    expect(pending.request?.name).toBe("own-name");
    await room.desk.approve(pending.request?.requestId ?? "");
    await node.until("paired");
  });

  test("nobody is let in without an approval, and a denial is told", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const pending = await follower.until("pending");
    const requestId = pending.request?.requestId ?? "";
    const denied = await room.desk.deny(requestId);
    expect(denied.state).toBe("denied");
    await expect(node.until("paired")).rejects.toThrow("PAIR_DENIED");
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "denied"]);
    await expect(room.desk.approve(requestId)).rejects.toMatchObject({ code: "REQUEST_NOT_PENDING" });
    await expect(room.desk.approve("nonsense")).rejects.toMatchObject({ code: "REQUEST_NOT_FOUND" });
    expect(await room.store.devices.list()).toEqual([]);
  });

  test("an approval counts once, however many operators give it", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    const results = await Promise.allSettled([
      room.desk.approve(requestId),
      room.desk.approve(requestId),
      room.desk.deny(requestId),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    await node.until("paired");
    expect(await room.store.devices.list()).toHaveLength(1);
  });

  test("three wrong proofs burn the code; each is on disk, and the right code then helps nobody", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    for (let guess = 0; guess < 3; guess += 1) {
      const wrong = { ...code, secret: new Secret(new Uint8Array(16).fill(guess)) };
      await using node = await TestNode.dial(address, wrong);
      await expect(node.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
    }
    await follower.done;
    expect(follower.states).toEqual([
      "open",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "burnt",
    ]);
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ state: "burnt", failures: 3 });
    expect(await room.store.pairing.countFailures({ hourAgo: 0, dayAgo: 0 })).toEqual({ hour: 3, day: 3 });
  });

  test("wrong proofs still count after a restart", async () => {
    await using room = await openRoom({ limits: { attempts: { failuresPerHour: 1 } } });
    const first = await room.open();
    const { code, address } = ticketOf(shown(first));
    const wrong = { ...code, secret: new Secret(new Uint8Array(16)) };
    await using guesser = await TestNode.dial(address, wrong);
    await expect(guesser.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
    await room.restart();
    expect(await room.store.pairing.window(first.windowId)).toMatchObject({ state: "closed" });
    const second = await room.open();
    const ticket = ticketOf(shown(second));
    await using honest = await TestNode.dial(ticket.address, ticket.code);
    await expect(honest.until("show-words")).rejects.toThrow("PAIR_RATE_LIMITED");
  });

  test("a proof that was right counts for nothing, also after a restart", async () => {
    await using room = await openRoom({ limits: { attempts: { failuresPerHour: 1 } } });
    const { code, address } = ticketOf(shown(await room.open()));
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
    await room.restart();
    expect(await room.store.pairing.countFailures({ hourAgo: 0, dayAgo: 0 })).toEqual({ hour: 0, day: 0 });
    const again = ticketOf(shown(await room.open()));
    await using next = await TestNode.dial(again.address, again.code);
    await next.until("show-words");
  });

  test("closing a window turns away who is in it", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    await follower.until("pending");
    await room.desk.close(window.windowId);
    await expect(node.until("paired")).rejects.toThrow("PAIR_DENIED");
    await follower.done;
    expect(follower.states.at(-1)).toBe("closed");
    await expect(room.desk.close("nonsense")).rejects.toMatchObject({ code: "WINDOW_NOT_FOUND" });
  });

  test("a device that lost the answer gets the same certificate again", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const keyPair = await KeyPair.generate();
    const follower = new Follower(room.desk.watch(window.windowId));
    await using first = await TestNode.dial(address, code, { keyPair });
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    await first[Symbol.asyncDispose]();
    const approved = await room.desk.approve(requestId);
    await using again = await TestNode.dial(address, ticketOf(shown(window)).code, { keyPair });
    const { issued } = await again.until("store");
    expect(issued.deviceId).toBe(approved.deviceId);
    const [certificate] = await room.store.devices.certificates(issued.deviceId);
    expect(issued.chain.map((der) => Buffer.from(der))).toEqual(certificate?.chain.map((der) => Buffer.from(der)));
    expect(await room.store.devices.list()).toHaveLength(1);
  });

  test("a name that would move the terminal's cursor does not reach the operator", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code, { name: "a\u001b[2Jb\u202e" });
    expect((await follower.until("pending")).request?.name).toBe("a\u{fffd}[2Jb\u{fffd}");
    expect(node.effects).not.toHaveLength(0);
  });

  test("a window nobody comes to expires, and its port closes", async () => {
    await using room = await openRoom();
    const window = await room.open({ ttlMs: 1 });
    const follower = new Follower(room.desk.watch(window.windowId));
    await follower.done;
    expect(follower.states).toEqual(["open", "expired"]);
    expect(room.endpoint.pid).toBeUndefined();
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ state: "expired" });
  });

  test("a request nobody decides is denied by time, and both sides are told", async () => {
    await using room = await openRoom({ limits: { attempts: { approvalMs: 400 } } });
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    await expect(node.until("paired")).rejects.toThrow("PAIR_APPROVAL_TIMEOUT");
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "expired PAIR_APPROVAL_TIMEOUT"]);
    const { request } = follower.updates.at(-1) ?? {};
    await expect(room.desk.approve(request?.requestId ?? "")).rejects.toMatchObject({ code: "REQUEST_NOT_PENDING" });
    expect(await room.store.devices.list()).toEqual([]);
  });

  test("a window is told from its beginning to whoever comes, also after a restart", async () => {
    await using room = await openRoom();
    const window = await room.open();
    await room.desk.close(window.windowId);
    const late = new Follower(room.desk.watch(window.windowId));
    await late.done;
    expect(late.states).toEqual(["open", "closed"]);
    await room.restart();
    const later = new Follower(room.desk.watch(window.windowId));
    await later.done;
    expect(later.states).toEqual(["closed"]);
    await expect(new Follower(room.desk.watch("nonsense")).done).rejects.toMatchObject({ code: "WINDOW_NOT_FOUND" });
  });

  test("a guess that cannot be written down is not judged", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    await room.store.close();
    await using node = await TestNode.dial(address, code);
    await expect(node.until("show-words")).rejects.toThrow("PAIR_UNAVAILABLE");
  });

  test("a peer that breaks the protocol is told so, and changes nothing for the next", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const key = new Uint8Array(32);
    const dial = async () =>
      await tcpTransport(key).dial(address, {
        protocol: "quaymesh-pair/1",
        serverName: "",
        credentials: { keyPem: "", chainPem: "" },
        trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
      });
    const answers: unknown[] = [];
    for (const body of [
      { v: 2, method: "pair" },
      { v: 1, method: "session.open" },
      { v: 1, method: "pair" },
    ]) {
      await using connection = await dial();
      const stream = new MessageStream(await connection.openStream());
      await stream.sendFrame(encodeFrame(body));
      answers.push(await stream.receive(parsePairToNode).catch((error: RemoteError) => error.code));
    }
    expect(answers).toEqual(["PAIR_VERSION", "METHOD_UNKNOWN", "MESSAGE_INVALID"]);
    await using flood = await dial();
    const stream = await flood.openStream();
    // A frame of 4097 bytes: refused by its header.
    await stream.write(Uint8Array.of(0, 0, 0x10, 0x01));
    expect(await new MessageStream(stream).receive(parsePairToNode).catch((error: RemoteError) => error.code)).toBe(
      "FRAME_TOO_LARGE",
    );
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
  });

  test("what an operator asks for is checked before a window opens", async () => {
    await using room = await openRoom();
    for (const wrong of [
      { name: "x".repeat(65) },
      { name: "a\nb" },
      { labels: ["UPPER"] },
      { labels: Array.from({ length: 33 }, (_, at) => `l${at}`) },
      { purpose: "\u0007" },
      { ttlMs: 3_600_001 },
    ]) {
      await expect(room.open(wrong)).rejects.toMatchObject({ code: "WINDOW_INVALID" });
    }
    expect(room.endpoint.pid).toBeUndefined();
  });
});

describe("the endpoint's process", () => {
  test("runs while a window is open, and its port is closed with the last one", async () => {
    await using room = await openRoom();
    expect(room.endpoint.pid).toBeUndefined();
    const window = await room.open();
    expect(room.endpoint.pid).toBeGreaterThan(0);
    const { port } = room.endpoint.address;
    await room.desk.close(window.windowId);
    expect(room.endpoint.pid).toBeUndefined();
    await expect
      .poll(async () => {
        const socket = connect(port, "127.0.0.1");
        try {
          await once(socket, "connect");
          return "open";
        } catch {
          return "closed";
        } finally {
          socket.destroy();
        }
      })
      .toBe("closed");
    const next = await room.open();
    expect(room.endpoint.address.port).toBe(port);
    expect(next.addresses).toEqual([`127.0.0.1:${port}`]);
  });

  test("answers who is connected already when it is told to stop, and waits for nobody long", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const dial = async () =>
      await tcpTransport(new Uint8Array(32)).dial(address, {
        protocol: "quaymesh-pair/1",
        serverName: "",
        credentials: { keyPem: "", chainPem: "" },
        trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
      });
    await using late = await dial();
    await using silent = await dial();
    // Accepted in their order: once this one has its answer, the two are peers.
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
    await room.desk.close(window.windowId);
    await expect(node.until("paired")).rejects.toThrow("PAIR_DENIED");
    const stream = new MessageStream(await late.openStream());
    await stream.sendFrame(encodeFrame(HELLO));
    await expect(stream.receive(parsePairToNode)).rejects.toMatchObject({ code: "PAIR_CLOSED" });
    await silent.closed;
  });

  test("outlives the last window only for who is being answered, and not for long", async () => {
    await using room = await openRoom({ endpoint: { lingerMs: 300 } });
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    // Says hello with a code nobody knows, gets its share like everybody, and then nothing more.
    const unknown = { ...code, codeId: new Uint8Array(8) };
    await using node = await TestNode.dial(address, unknown, { silent: true });
    await node.until("send");
    await expect.poll(() => node.heard).toBe(1);
    await room.desk.close(window.windowId);
    expect(room.endpoint.pid).toBeGreaterThan(0);
    await expect.poll(() => room.endpoint.pid).toBeUndefined();
  });

  test("is the gateway's to stop: a terminal's interrupt, which reaches both, does not", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { pid } = room.endpoint;
    process.kill(pid ?? 0, "SIGINT");
    process.kill(pid ?? 0, "SIGTERM");
    const { code, address } = ticketOf(shown(window));
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
    expect(room.endpoint.pid).toBe(pid);
  });

  test("ends by itself when the gateway is killed", async () => {
    const script = fileURLToPath(new URL("orphaning-parent.ts", import.meta.url));
    const parent = spawn(process.execPath, ["-C", "@quaymesh/source", script], { stdio: ["pipe", "pipe", "ignore"] });
    const over = once(parent, "exit");
    try {
      const [line] = (await once(createInterface({ input: parent.stdout }), "line")) as [string];
      const { pid, directory } = JSON.parse(line) as { readonly pid: number; readonly directory: string };
      await using _directory = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
      parent.kill("SIGKILL");
      await over;
      await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
    } finally {
      parent.kill("SIGKILL");
      await over;
    }
  });

  test("is replaced on the same port when it is killed, and the window goes on", async () => {
    await using room = await openRoom({ endpoint: { restartMs: 10 } });
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    const { pid } = room.endpoint;
    process.kill(pid ?? 0, "SIGKILL");
    await expect.poll(() => room.endpoint.pid).not.toBe(pid);
    await expect.poll(() => room.endpoint.pid, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(room.endpoint.address).toEqual(address);
    await using node = await TestNode.dial(address, code);
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    await room.desk.approve(requestId);
    await node.until("paired");
  });

  test("is killed and replaced when it hangs", async () => {
    const childModule = new URL("hanging-child.ts", import.meta.url);
    await using room = await openRoom({ childModule, endpoint: { restartMs: 10, silenceMs: 1_500 } });
    await room.open();
    const { pid } = room.endpoint;
    await expect.poll(() => room.endpoint.pid ?? pid, { timeout: 10_000 }).not.toBe(pid);
  });

  test("that says nothing is given up, and the operator is told", async () => {
    const childModule = new URL("silent-child.ts", import.meta.url);
    await using room = await openRoom({ childModule, endpoint: { startMs: 500 } });
    await expect(room.open()).rejects.toMatchObject({ code: "PAIRING_UNAVAILABLE" });
    expect(room.desk.isOpen).toBe(false);
  });

  test("that cannot be started is said so", async () => {
    await using room = await openRoom({ childModule: new URL("no-such-module.ts", import.meta.url) });
    await expect(room.open()).rejects.toMatchObject({ code: "PAIRING_UNAVAILABLE" });
  });

  test("that finds its port taken is said so", async () => {
    await using other = await openRoom();
    await other.open();
    await using room = await openRoom({ port: other.endpoint.address.port });
    await expect(room.open()).rejects.toMatchObject({ code: "PAIRING_PORT_IN_USE" });
  });

  test.each([
    ["a line that is not JSON", "it reported what no sound process reports"],
    ["a report without its fields", "it reported what no sound process reports"],
    ["a line without end", "RangeError: a line of the pairing process is too long"],
    ["more peers than it may have", "it has more peers than it may"],
    ["a frame of a peer that never came", "it reported a frame of nobody"],
    ["a flood", "it reported too much"],
    ["one peer twice", "it has more peers than it may"],
  ])("is not believed, and is killed, when it reports %s", async (lie, why) => {
    const warnings: unknown[] = [];
    const warn = (fields: unknown) => void warnings.push(fields);
    const logger = { debug() {}, info() {}, error() {}, warn };
    const childModule = new URL("lying-child.ts", import.meta.url);
    await using room = await openRoom({
      childModule,
      logger,
      port: LIES.indexOf(lie) + 1,
      endpoint: { restartMs: 60_000 },
    });
    await room.open().catch(() => {});
    await expect.poll(() => room.endpoint.pid, { timeout: 10_000 }).toBeUndefined();
    expect(warnings).toContainEqual(expect.objectContaining({ why }));
    expect(await room.store.devices.list()).toEqual([]);
  });
});

/** A hello that is well formed, and from nobody. */
const HELLO = {
  v: 1,
  method: "pair",
  nonce: new Uint8Array(16),
  ya: new Uint8Array(32),
  csrHash: new Uint8Array(32),
  name: "late",
  platform: { os: "linux", arch: "x64" },
};

/** In the order of lying-child.ts. */
const LIES = [
  "a line that is not JSON",
  "a report without its fields",
  "a line without end",
  "more peers than it may have",
  "a frame of a peer that never came",
  "a flood",
  "one peer twice",
];
