import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { encodeFrame, MessageStream, parsePairToNode } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { OpenedWindow } from "../../src/pairing/service.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { addressOf, openRoom } from "./room.ts";
import { tcpTransport } from "./tcp-transport.ts";

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The text of a window's ticket, or its PIN. */
function shown({ link, pin }: OpenedWindow): string {
  return (link ?? pin)?.reveal() ?? "";
}

describe("the endpoint's process", () => {
  test("runs while a window is open, and its port is closed with the last one", async () => {
    await using room = await openRoom();
    expect(room.endpoint.pid).toBeUndefined();
    const window = await room.open();
    expect(room.endpoint.pid).toBeGreaterThan(0);
    const { port } = addressOf(room);
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
    expect(addressOf(room).port).toBe(port);
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
      await expect.poll(() => isRunning(pid)).toBe(false);
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
    await expect.poll(() => room.endpoint.pid).toBeGreaterThan(0);
    expect(addressOf(room)).toMatchObject(address);
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
    await expect.poll(() => room.endpoint.pid ?? pid).not.toBe(pid);
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
    await using room = await openRoom({ port: addressOf(other).port });
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
    await expect.poll(() => room.endpoint.pid).toBeUndefined();
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
