import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { certificatesFromPem, certificatesToPem, KeyPair, meshServerName } from "@quaymesh/identity";
import {
  MessageStream,
  parseGatewayControl,
  type Connection,
  type Credentials,
  type PeerIdentity,
} from "@quaymesh/protocol";
import { createMemoryNetwork, type MemoryNetwork } from "@quaymesh/protocol/memory";
import { describe, expect, test } from "vitest";
import { connect, type GatewayClient } from "../../src/client/index.ts";
import { Gateway } from "../../src/daemon/gateway.ts";
import type { GatewayOptions } from "../../src/daemon/options.ts";
import { stateLayout } from "../../src/daemon/state-directory.ts";
import { GATEWAY_VERSION } from "../../src/daemon/version.ts";
import { Follower, TestNode, ticketOf } from "../pairing/node.ts";
import { systemClock } from "../../src/clock.ts";
import { spkiOf } from "../pairing/tcp-transport.ts";

const childModule = new URL("../pairing/tcp-child.ts", import.meta.url);

function peerOf({ chainPem }: Credentials): PeerIdentity {
  const chain = certificatesFromPem(chainPem);
  return { chain, spkiSha256: spkiOf(chain[0] ?? new Uint8Array()) };
}

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-gateway-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function options(state: string, over: Partial<GatewayOptions> = {}): GatewayOptions {
  return {
    state,
    transport: createMemoryNetwork({ peerOf }),
    listen: { host: "127.0.0.1", port: 7420 },
    pairing: { childModule, listen: { host: "127.0.0.1", port: 0 } },
    meshName: "harbor",
    ...over,
  };
}

test.each([
  ["gone", { level: "info", rootKey: "missing" }],
  ["damaged", { level: "error", rootKey: "damaged" }],
])("a start says that the root's key is %s, and the gateway runs all the same", async (how, expected) => {
  await using directory = await temporary();
  const state = join(directory.path, "gw");
  const lines: object[] = [];
  const write = (level: string) => (fields: object) => void lines.push({ level, ...fields });
  const logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  await (await Gateway.open(options(state, { logger })))[Symbol.asyncDispose]();
  const told = () => lines.filter((line) => "rootKey" in line);
  expect(told()).toEqual([]);
  const key = join(stateLayout(state).authority, "root-key.sealed");
  if (how === "gone") await rm(key);
  else await truncate(key, 40);
  await (await Gateway.open(options(state, { logger })))[Symbol.asyncDispose]();
  expect(told()).toMatchObject([expected]);
});

test("one inherited socket for both endpoints is refused before anything is made", async () => {
  await using directory = await temporary();
  const state = join(directory.path, "gw");
  const over = { listen: [{ fd: 9 }, { host: "::1", port: 0 }], pairing: { childModule, listen: { fd: 9 } } };
  await expect(Gateway.open(options(state, over))).rejects.toMatchObject({
    code: "ADDRESS_UNAVAILABLE",
    message: expect.stringContaining("descriptor 9") as string,
  });
  expect(existsSync(state)).toBe(false);
});

/** Pair a device through the operator API. @returns its id and the credentials it now has */
async function pair(client: GatewayClient, name: string): Promise<{ deviceId: string; credentials: Credentials }> {
  const keyPair = await KeyPair.generate();
  const window = await client.pairing.open({ name });
  const { code, address } = ticketOf(window.link);
  const follower = new Follower(client.pairing.watch(window.windowId));
  await using node = await TestNode.dial(address, code, { keyPair });
  follower.done.catch(() => {});
  const { request } = await follower.until("pending");
  const approved = await client.pairing.approve(request?.requestId ?? "");
  const { issued } = await node.until("store");
  await node.until("paired");
  expect(approved.deviceId).toBe(issued.deviceId);
  const credentials = { keyPem: keyPair.privatePem().reveal(), chainPem: certificatesToPem(issued.chain) };
  return { deviceId: issued.deviceId, credentials };
}

async function dial(network: MemoryNetwork, gateway: Gateway, credentials: Credentials): Promise<Connection> {
  return await network.dial(
    { host: "127.0.0.1", port: 7420 },
    {
      protocol: "quaymesh/1",
      serverName: meshServerName(gateway.meshId),
      credentials,
      trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    },
  );
}

async function openSession(connection: Connection, device: string): Promise<MessageStream> {
  const control = new MessageStream(await connection.openStream());
  await control.send({
    v: 1,
    method: "session.open",
    device,
    nonce: new Uint8Array(16),
    outboxEpoch: new Uint8Array(16).fill(1),
    software: "test/1",
    platform: { os: "linux", arch: "x64" },
    capabilities: [],
  });
  expect(await control.expect(parseGatewayControl)).toMatchObject({ type: "welcome" });
  return control;
}

describe("a gateway", () => {
  test("pairs a device, sees it online, and cuts it off when it is revoked", async () => {
    await using directory = await temporary();
    const network = createMemoryNetwork({ peerOf });
    await using gateway = await Gateway.open(options(directory.path, { transport: network }));
    await using client = await connect({ state: directory.path });
    const { deviceId, credentials } = await pair(client, "build-box");
    const connection = await dial(network, gateway, credentials);
    await openSession(connection, deviceId);
    await expect.poll(() => client.devices.get("build-box")).toMatchObject({ id: deviceId, state: "online" });
    await expect.poll(() => client.pairing.requests()).toMatchObject([{ state: "active", deviceId }]);
    expect(await client.devices.previewRevocation(deviceId)).toMatchObject({ sessions: 1 });
    const receipt = await client.devices.revoke("build-box", { reason: "sold" });
    expect(receipt).toMatchObject({ deviceId, sessionsClosed: 1, revocationEpoch: 1, reason: "sold" });
    expect(await connection.closed).toMatchObject({ kind: "application", code: 0x52 });
    // Refused in the handshake, with certificate_revoked.
    const redial = await dial(network, gateway, credentials);
    expect(await redial.closed).toMatchObject({ kind: "transport", code: 0x12c });
    expect(await client.devices.revoke(deviceId)).toEqual(receipt);
  });

  test("whose clock is from before its mesh says so with both clocks, and leaves the state as it is", async () => {
    await using directory = await temporary();
    const first = await Gateway.open(options(directory.path));
    await first.stop();
    const year = 365 * 86_400_000;
    const clock = { ...systemClock, now: () => Date.now() - year };
    const before = new Date(Date.now() - year).getUTCFullYear();
    await expect(Gateway.open(options(directory.path, { clock }))).rejects.toMatchObject({
      code: "CLOCK_SKEW",
      message: expect.stringMatching(new RegExp(`valid from .* to .*, and this clock says ${before}-`, "u")),
    });
    await using again = await Gateway.open(options(directory.path));
    expect(again.meshId).toBe(first.meshId);
  });

  test("keeps its mesh, its devices and its trust over a restart", async () => {
    await using directory = await temporary();
    const network = createMemoryNetwork({ peerOf });
    const first = await Gateway.open(options(directory.path, { transport: network }));
    const client = await connect({ state: directory.path });
    const { deviceId, credentials } = await pair(client, "nas");
    await client[Symbol.asyncDispose]();
    await first.stop();
    await using again = await Gateway.open(options(directory.path, { transport: network, meshName: "another" }));
    expect([again.meshId, again.meshName]).toEqual([first.meshId, "harbor"]);
    await using later = await connect({ state: directory.path });
    expect(await later.devices.list()).toMatchObject([{ id: deviceId, name: "nas", state: "new" }]);
    const connection = await dial(network, again, credentials);
    await openSession(connection, deviceId);
    await expect.poll(() => later.devices.get("nas")).toMatchObject({ state: "online" });
    // Paired before the restart, seen first after it.
    await expect.poll(() => later.pairing.requests()).toMatchObject([{ state: "active" }]);
  });

  test("stops when it is asked to, telling nodes first, and leaves no socket and no lock", async () => {
    await using directory = await temporary();
    const network = createMemoryNetwork({ peerOf });
    await using gateway = await Gateway.open(options(directory.path, { transport: network }));
    await using client = await connect({ state: directory.path });
    const { deviceId, credentials } = await pair(client, "nas");
    const connection = await dial(network, gateway, credentials);
    const control = await openSession(connection, deviceId);
    const drain = control.expect(parseGatewayControl);
    await client.shutdown();
    await gateway.stopped;
    expect(await drain).toMatchObject({ type: "drain", retryAfterMs: 1000 });
    expect(await connection.closed).toMatchObject({ kind: "application", code: 0x50 });
    const left = await readdir(directory.path);
    expect(left).not.toContain("admin.sock");
    expect(left).not.toContain("gateway.pid");
    await using next = await Gateway.open(options(directory.path));
    expect(next.meshId).toBe(gateway.meshId);
  });

  test("stops when its signal aborts", async () => {
    await using directory = await temporary();
    const abort = new AbortController();
    const gateway = await Gateway.open(options(directory.path, { signal: abort.signal }));
    const running = gateway.run();
    abort.abort();
    await running;
    await expect(connect({ state: directory.path })).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
  });

  test("keeps everything it writes to itself", async () => {
    await using directory = await temporary();
    await using gateway = await Gateway.open(options(directory.path));
    const entries = await readdir(gateway.state, { recursive: true, withFileTypes: true });
    expect(entries.length).toBeGreaterThan(6);
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      expect([path, (await stat(path)).mode & 0o077]).toEqual([path, 0]);
    }
  });

  test("never logs a secret", async () => {
    await using directory = await temporary();
    const lines: string[] = [];
    const log = (fields: unknown, message: string) => void lines.push(JSON.stringify(fields) + message);
    const logger = { debug: log, info: log, warn: log, error: log };
    await using gateway = await Gateway.open(options(directory.path, { logger }));
    await using client = await connect({ state: directory.path });
    const window = await client.pairing.open();
    const pin = await client.pairing.open({ code: "pin" });
    await client.pairing.close(window.windowId);
    await client.pairing.close(pin.windowId);
    await gateway.stop();
    const text = lines.join("\n");
    expect(text).not.toContain(window.link.slice(5, 60));
    expect(text).not.toContain(pin.pin);
    expect(text).not.toContain("PRIVATE KEY");
    expect(text).toContain("the gateway runs");
  });

  test("clears away what a kill in the middle of a write has left, and nothing else", async () => {
    await using directory = await temporary();
    const first = await Gateway.open(options(directory.path));
    await first.stop();
    await writeFile(join(directory.path, ".authority.key.0011.tmp"), "half");
    await writeFile(join(directory.path, "authority", ".authority.sealed.0022.tmp"), "half");
    await writeFile(join(directory.path, "notes.tmp"), "the operator's");
    await using gateway = await Gateway.open(options(directory.path));
    const names = await readdir(gateway.state, { recursive: true });
    expect(names.filter((name) => name.endsWith(".tmp"))).toEqual(["notes.tmp"]);
  });

  test("tells the version of its package", async () => {
    const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
    expect(GATEWAY_VERSION).toBe((JSON.parse(text) as { readonly version: string }).version);
  });
});

describe("a start that cannot be", () => {
  test("on a state that is in use names the process, and leaves that one alone", async () => {
    await using directory = await temporary();
    await using gateway = await Gateway.open(options(directory.path));
    await expect(Gateway.open(options(directory.path))).rejects.toMatchObject({
      code: "GATEWAY_ALREADY_RUNNING",
      metadata: { pid: String(process.pid) },
    });
    await using client = await connect({ socket: gateway.adminSocket });
    expect(await client.status()).toMatchObject({ meshName: "harbor", version: GATEWAY_VERSION, pairingOpen: false });
  });

  test("on a port that is in use says which, and the next start on another port goes well", async () => {
    await using directory = await temporary();
    const network = createMemoryNetwork({ peerOf });
    await using other = await temporary();
    await using holder = await Gateway.open(options(other.path, { transport: network }));
    await expect(Gateway.open(options(directory.path, { transport: network }))).rejects.toMatchObject({
      code: "PORT_IN_USE",
      metadata: { port: "7420" },
    });
    const listen = { host: "127.0.0.1", port: 7430 };
    await using gateway = await Gateway.open(options(directory.path, { transport: network, listen }));
    expect(gateway.addresses).toEqual(["127.0.0.1:7430"]);
    expect(holder.addresses).toEqual(["127.0.0.1:7420"]);
  });

  test("on a corrupt database says so and changes nothing", async () => {
    await using directory = await temporary();
    const gateway = await Gateway.open(options(directory.path));
    await gateway.stop();
    const { database } = stateLayout(directory.path);
    // A stopped gateway leaves one whole file.
    expect((await readdir(directory.path)).filter((name) => name.startsWith("gateway.sqlite-"))).toEqual([]);
    await writeFile(database, "this is no database, and never was one".repeat(200));
    const before = await readFile(database);
    await expect(Gateway.open(options(directory.path))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    expect(await readFile(database)).toEqual(before);
    await truncate(database, 100);
    await expect(Gateway.open(options(directory.path))).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  });

  test("below a path that is too long for a socket writes nothing", async () => {
    await using directory = await temporary();
    const state = join(directory.path, "x".repeat(100));
    await expect(Gateway.open(options(state))).rejects.toMatchObject({ code: "ADMIN_SOCKET_PATH_TOO_LONG" });
    expect(await readdir(state)).toEqual([]);
  });

  test("where something answers on the admin socket lets go of all it took", async () => {
    await using directory = await temporary();
    const first = await Gateway.open(options(directory.path));
    await first.stop();
    const { adminSocket } = stateLayout(directory.path);
    const { createServer } = await import("node:net");
    const squatter = createServer().listen(adminSocket);
    await once(squatter, "listening");
    await expect(Gateway.open(options(directory.path))).rejects.toMatchObject({ code: "ADMIN_SOCKET_IN_USE" });
    squatter.close();
    await once(squatter, "close");
    await using gateway = await Gateway.open(options(directory.path));
    expect(gateway.meshId).toBe(first.meshId);
  });
});

/** What a first start writes, in its order. */
const STEPS = [
  "gateway.pid",
  "authority.key",
  "authority/root-key.sealed",
  "authority/authority.sealed",
  "gateway.sqlite",
  "generation",
  "admin.sock",
];

test.each(STEPS)("a first start that is killed when %s has come to be is completed by the next one", async (step) => {
  await using directory = await temporary();
  const script = fileURLToPath(new URL("first-start.ts", import.meta.url));
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", script, directory.path], { stdio: "inherit" });
  const path = join(directory.path, step);
  while (!existsSync(path) && child.exitCode === null)
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  await using gateway = await Gateway.open(options(directory.path));
  await using client = await connect({ socket: gateway.adminSocket });
  expect(await client.status()).toMatchObject({ meshName: "harbor" });
});

test("the admin socket's clients that never speak do not hold up a stop", async () => {
  await using directory = await temporary();
  const gateway = await Gateway.open(options(directory.path));
  const silent = createConnection(gateway.adminSocket);
  await once(silent, "connect");
  await gateway.stop();
  silent.destroy();
});
