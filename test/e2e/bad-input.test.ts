/** Everything that is commonly wrong, with real processes: each has its own message and exit code, and nothing is lost or half-written. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatTicket, parseTicket } from "@quaymesh/identity";
import { describe, expect, test, vi } from "vitest";
import { openWindow, pairNode, quaymesh, Running, startGateway, temporaryDirectory } from "./support.ts";

// Each test starts several processes, and the whole suite may run beside it on two cores.
vi.setConfig({ testTimeout: 90_000 });

/** A UDP port of loopback that is taken. */
async function takenPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const socket: Socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}

/** A UDP port of loopback where nobody answers: it was just given back. */
async function silentPort(): Promise<number> {
  await using taken = await takenPort();
  return taken.port;
}

/** A link that is well formed but for what the test changes. */
function linkWith(change: Partial<Parameters<typeof formatTicket>[0]>, link: string): string {
  return formatTicket({ ...parseTicket(link, { now: 0 }), ...change });
}

describe("joining", () => {
  test("with an unreadable ticket ends with 10 and makes no state", async () => {
    await using directory = await temporaryDirectory();
    const state = directory.path("node");
    const { exit, error, stdout } = await quaymesh(["node", "join", "QUAY:NOTATICKET", "--state", state, "--json"]);
    expect({ exit, stdout, code: error?.code }).toEqual({ exit: 10, stdout: "", code: "TICKET_UNREADABLE" });
    expect(existsSync(state)).toBe(false);
  });

  test("with an expired ticket ends with 11 and says when it expired", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    await using window = await openWindow(gateway.state);
    const link = linkWith({ expiresAt: Date.parse("2026-01-02T03:04:05Z") }, window.link);
    const { exit, error } = await quaymesh(["node", "join", link, "--state", directory.path("node"), "--json"]);
    expect({ exit, code: error?.code }).toEqual({ exit: 11, code: "TICKET_EXPIRED" });
    expect(error?.message).toContain("2026-01-02T03:04:05");
    expect(existsSync(directory.path("node"))).toBe(false);
  });

  test("with a mistyped link ends with 10: one wrong character is found before anybody is dialed", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    await using window = await openWindow(gateway.state);
    const at = 20;
    const link = `${window.link.slice(0, at)}${window.link[at] === "A" ? "B" : "A"}${window.link.slice(at + 1)}`;
    const { exit, error } = await quaymesh(["node", "join", link, "--state", directory.path("node"), "--json"]);
    expect(exit).toBe(10);
    expect(["TICKET_MISTYPED", "TICKET_VERSION", "TICKET_UNREADABLE"]).toContain(error?.code);
  });

  test("at an address where nobody answers ends with 3 and names the address", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    await using window = await openWindow(gateway.state);
    const port = await silentPort();
    const link = linkWith({ addresses: [{ host: "127.0.0.1", port }] }, window.link);
    const { exit, stderr } = await quaymesh(["node", "join", link, "--state", directory.path("node")]);
    expect(exit).toBe(3);
    expect(stderr).toContain(`127.0.0.1:${port}`);
  });

  test("a gateway whose root is not the pinned one ends with 13, before a byte is sent to it", async () => {
    await using directory = await temporaryDirectory();
    await using right = await startGateway(directory.path("right"));
    await using wrong = await startGateway(directory.path("wrong"));
    await using rightWindow = await openWindow(right.state);
    await using wrongWindow = await openWindow(wrong.state);
    const { addresses } = parseTicket(wrongWindow.link, { now: 0 });
    const link = linkWith({ addresses }, rightWindow.link);
    const { exit, error } = await quaymesh(["node", "join", link, "--state", directory.path("node"), "--json"]);
    expect({ exit, code: error?.code }).toEqual({ exit: 13, code: "GATEWAY_PIN_MISMATCH" });
    const listed = await quaymesh(["pair", "list", "--state", wrong.state, "--json"]);
    expect(listed.stdout).not.toContain('"type":"request"');
  });

  test("with a wrong PIN ends with 12, and the window is still good for the right one", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    await using window = await openWindow(gateway.state, "--pin");
    const [address = ""] = window.addresses;
    const join = (pin: string) =>
      quaymesh(["node", "join", address, "--state", directory.path("node"), "--json"], { input: pin });
    const wrong = await join(window.pin === "00000000" ? "00000001" : "00000000");
    expect(wrong.exit).toBe(12);
    const joined = join(window.pin);
    const pending = await window.pair.line((line) => line["state"] === "pending");
    const { requestId } = pending["request"] as { readonly requestId: string };
    await quaymesh(["pair", "approve", requestId, "--state", gateway.state]);
    expect((await joined).exit).toBe(0);
  });

  test("denied by the operator ends with 14 on both sides and stores no certificate", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    await using window = await openWindow(gateway.state);
    await using joining = new Running(["node", "join", window.link, "--state", directory.path("node")]);
    const pending = await window.pair.line((line) => line["state"] === "pending");
    const { requestId } = pending["request"] as { readonly requestId: string };
    await quaymesh(["pair", "deny", requestId, "--state", gateway.state]);
    expect(await joining.ended()).toMatchObject({ exit: 14, error: { code: "PAIR_DENIED" } });
    expect(await window.pair.ended()).toMatchObject({ exit: 14 });
    const run = await quaymesh(["node", "run", "--state", directory.path("node"), "--json"]);
    expect([16, 30]).toContain(run.exit);
  });
});

describe("running a node", () => {
  test("whose gateway is full ends with 6 when told not to wait", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"), "--max-connections", "1");
    await pairNode(gateway.state, directory.path("one"), "one");
    await pairNode(gateway.state, directory.path("two"), "two");
    await using first = new Running(["node", "run", "--state", directory.path("one")]);
    await first.line((line) => line["state"] === "online");
    const second = await quaymesh(["node", "run", "--no-retry", "--state", directory.path("two"), "--json"]);
    expect(second).toMatchObject({ exit: 6, error: { code: "GATEWAY_BUSY" } });
  });

  test("whose gateway was replaced by another at the same address ends with 13", async () => {
    await using directory = await temporaryDirectory();
    const old = await startGateway(directory.path("old"));
    await pairNode(old.state, directory.path("node"), "one");
    await old.running.end();
    await using other = await startGateway(directory.path("new"), "--listen", old.address);
    expect(other.address).toBe(old.address);
    const run = await quaymesh(["node", "run", "--no-retry", "--state", directory.path("node"), "--json"]);
    expect(run).toMatchObject({ exit: 13, error: { code: "GATEWAY_UNTRUSTED" } });
    // What the message says to do if the mesh was rebuilt does work.
    expect((await quaymesh(["node", "leave", "--yes", "--state", directory.path("node")])).exit).toBe(0);
    await pairNode(other.state, directory.path("node"), "one");
    await using again = new Running(["node", "run", "--state", directory.path("node")]);
    await again.line((line) => line["state"] === "online");
  });

  test("without a state directory ends with 30, with an unpaired one with 16", async () => {
    await using directory = await temporaryDirectory();
    expect(await quaymesh(["node", "run", "--state", directory.path("none"), "--json"])).toMatchObject({
      exit: 30,
      error: { code: "STATE_MISSING" },
    });
    await mkdir(directory.path("empty"), { mode: 0o700 });
    expect(await quaymesh(["node", "run", "--state", directory.path("empty"), "--json"])).toMatchObject({
      exit: 16,
      error: { code: "NODE_NOT_PAIRED" },
    });
    expect(await readdir(directory.path("empty"))).toEqual([]);
  });
});

describe("operating a gateway", () => {
  test("without a state directory ends with 30, with nobody running there with 3", async () => {
    await using directory = await temporaryDirectory();
    const missing = await quaymesh(["gateway", "status", "--state", directory.path("none"), "--json"]);
    expect(missing).toMatchObject({ exit: 30, error: { code: "STATE_MISSING" } });
    await mkdir(directory.path("empty"), { mode: 0o700 });
    const nobody = await quaymesh(["gateway", "status", "--state", directory.path("empty"), "--json"]);
    expect(nobody).toMatchObject({ exit: 3, error: { code: "GATEWAY_UNREACHABLE" } });
  });

  test("a device that is not there ends with 5", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    const { exit, error } = await quaymesh(["device", "revoke", "nobody", "--yes", "--state", gateway.state, "--json"]);
    expect({ exit, code: error?.code }).toEqual({ exit: 5, code: "DEVICE_NOT_FOUND" });
  });
});

describe("starting a gateway", () => {
  const run = (state: string, listen = "127.0.0.1:0") =>
    quaymesh(["gateway", "run", "--state", state, "--listen", listen, "--pairing-listen", "127.0.0.1:0", "--json"]);

  test("below a directory that is missing ends with 30 and makes nothing: the disk may not be mounted", async () => {
    await using directory = await temporaryDirectory();
    const { exit, error } = await run(join(directory.path("unmounted"), "gateway"));
    expect({ exit, code: error?.code }).toEqual({ exit: 30, code: "STATE_MISSING" });
    expect(existsSync(directory.path("unmounted"))).toBe(false);
  });

  test("on a corrupt database ends with 31 and leaves the damaged file as it is", async () => {
    await using directory = await temporaryDirectory();
    const state = directory.path("gateway");
    const gateway = await startGateway(state);
    await gateway.running.end();
    const database = join(state, "gateway.sqlite");
    const damaged = await readFile(database);
    damaged.fill(0x5a, 0, 4096);
    await writeFile(database, damaged);
    const { exit, error } = await run(state);
    expect({ exit, code: error?.code }).toEqual({ exit: 31, code: "STORE_CORRUPT" });
    expect(error?.hint).toContain("backup");
    expect(Buffer.compare(await readFile(database), damaged)).toBe(0);
  });

  test("on a taken port ends with 32, and the same state starts on a free one", async () => {
    await using directory = await temporaryDirectory();
    const state = directory.path("gateway");
    await using taken = await takenPort();
    const { exit, error } = await run(state, `127.0.0.1:${taken.port}`);
    expect({ exit, code: error?.code }).toEqual({ exit: 32, code: "PORT_IN_USE" });
    expect(error?.message).toContain(String(taken.port));
    await using gateway = await startGateway(state);
    expect(gateway.address).toMatch(/^127\.0\.0\.1:\d+$/u);
  });

  test("on a state directory that is in use ends with 33, and the first one goes on", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    const { exit, error } = await run(gateway.state);
    expect({ exit, code: error?.code }).toEqual({ exit: 33, code: "GATEWAY_ALREADY_RUNNING" });
    expect((await quaymesh(["gateway", "status", "--state", gateway.state])).exit).toBe(0);
  });
});
