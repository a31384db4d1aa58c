import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test, vi } from "vitest";
import type { Connection } from "@quaymesh/protocol";
import {
  CONNECTION_CLOSE,
  CONNECTION_MIGRATE,
  CONNECTION_OPEN,
  CONNECTION_REFUSE,
  FAULTS,
} from "@quaymesh/transport-quic";
import { FileSink } from "../src/observe/trace-sink.ts";
import { Tracer } from "../src/observe/tracer.ts";
import { accept, ask, openMesh, serveEcho, serveEchoOnAll } from "./support/mesh.ts";
import { openProxy } from "../../../test/network/proxy.ts";

/** Everything published on a channel while the scope lasts. */
const hear = (channel: typeof CONNECTION_OPEN): Disposable & { readonly heard: unknown[] } => {
  const heard: unknown[] = [];
  const listen = (message: unknown): void => void heard.push(message);
  channel.subscribe(listen);
  return {
    heard,
    [Symbol.dispose]: () => {
      channel.unsubscribe(listen);
    },
  };
};

const temporary = async (): Promise<AsyncDisposable & { readonly directory: string }> => {
  const directory = await mkdtemp(path.join(tmpdir(), "quaymesh-trace-"));
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
};

const bothClosed = async (node: Connection, gateway: Connection): Promise<void> => {
  node.close(7, "enough");
  await Promise.all([node.closed, gateway.closed]);
};

test("both ends of a connection are told of on the channels, from its opening to its close", async () => {
  using opened = hear(CONNECTION_OPEN);
  using closed = hear(CONNECTION_CLOSE);
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const serving = serveEcho(gateway);
  await ask(node, Buffer.alloc(5000));
  const port = node.stats().localAddress.port;
  await bothClosed(node, gateway);
  await serving;
  const ends = opened.heard.map((message) => expect.objectContaining(Object(message)));
  expect(ends).toHaveLength(2);
  const spki = (of: Connection) => Buffer.from(of.peer.spkiSha256).toString("hex");
  const listening = { host: "127.0.0.1", port: mesh.listener.address.port };
  const dialing = { host: "127.0.0.1", port };
  expect(opened.heard).toContainEqual(
    expect.objectContaining({
      role: "dialer",
      localAddress: dialing,
      remoteAddress: listening,
      peerSpkiSha256: spki(node),
    }),
  );
  expect(opened.heard).toContainEqual(
    expect.objectContaining({ role: "listener", remoteAddress: dialing, peerSpkiSha256: spki(gateway) }),
  );
  const close = (byPeer: boolean) => ({ kind: "application", code: 7, reason: "enough", byPeer });
  const stats = expect.objectContaining({ bytesSent: expect.any(Number) });
  expect(closed.heard).toContainEqual(expect.objectContaining({ role: "dialer", close: close(false), stats }));
  expect(closed.heard).toContainEqual(expect.objectContaining({ role: "listener", close: close(true), stats }));
});

test("whoever is refused is told of with the reason that is counted", async () => {
  using refused = hear(CONNECTION_REFUSE);
  await using mesh = await openMesh({ authorize: () => ({ kind: "refuse", reason: "revoked" }) });
  const node = await mesh.dial();
  await node.closed;
  const { localAddress } = node.stats();
  expect(refused.heard).toEqual([{ reason: "revoked", remoteAddress: localAddress }]);
});

test("a peer that comes from another port is told of once, with where it was and where it is", async () => {
  using migrated = hear(CONNECTION_MIGRATE);
  const mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  using opened = hear(CONNECTION_OPEN);
  const node = await mesh.dial({ port: proxy.port });
  await ask(node, Buffer.from("here"));
  await proxy.rebind();
  await expect
    .poll(async () => {
      await ask(node, Buffer.from("there"));
      return migrated.heard.length;
    })
    .toBe(1);
  const [message] = migrated.heard;
  const first = opened.heard.find((candidate) => Reflect.get(Object(candidate), "role") === "listener");
  expect(message).toMatchObject({ role: "listener", from: Reflect.get(Object(first), "remoteAddress") });
  expect(Reflect.get(Object(message), "to")).not.toEqual(Reflect.get(Object(message), "from"));
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("stats say where the path leads and what went over it, the same from both ends", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const serving = serveEcho(gateway);
  await ask(node, Buffer.alloc(100_000));
  const [near, far] = [node.stats(), gateway.stats()];
  expect(near.remoteAddress).toEqual({ host: "127.0.0.1", port: mesh.listener.address.port });
  expect(near.localAddress).toEqual(far.remoteAddress);
  expect(far.localAddress).toEqual(near.remoteAddress);
  expect(near.bytesSent).toBeGreaterThan(100_000);
  expect(far.bytesReceived).toBeGreaterThan(100_000);
  expect(near.packetsSent).toBeGreaterThan(6);
  expect(near.packetsReceived).toBeGreaterThan(6);
  expect(near).toMatchObject({ packetsLost: 0, bytesRetransmitted: 0 });
  expect(near.rttMs).toBeLessThan(1000);
  expect(near.congestionWindowBytes).toBeGreaterThan(10_000);
  expect(near.datagramBytes).toBeGreaterThanOrEqual(1200);
  expect(near.ageMs).toBeGreaterThan(0);
  const { bytesReceived, bytesSent } = mesh.listener.stats();
  expect(bytesReceived).toBeGreaterThanOrEqual(far.bytesReceived);
  expect(bytesSent).toBeGreaterThanOrEqual(far.bytesSent);
  await bothClosed(node, gateway);
  await serving;
});

test("a path's delay and losses show in the stats", async () => {
  const mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port, weather: { delayMs: 10 } });
  const node = await mesh.dial({ port: proxy.port });
  await ask(node, Buffer.from("there and back"));
  expect(node.stats().rttMs).toBeGreaterThanOrEqual(15);
  proxy.change({ delayMs: 10, loss: 0.1 });
  await expect
    .poll(
      async () => {
        await ask(node, Buffer.alloc(100_000));
        const { packetsLost, bytesRetransmitted } = node.stats();
        return packetsLost > 0 && bytesRetransmitted > 0;
      },
      { timeout: 15_000 },
    )
    .toBe(true);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

/** Records of a JSON text sequence (RFC 7464). Throws where it is none. */
const recordsOf = (text: string): { readonly name?: string; readonly time?: number; readonly data?: object }[] =>
  text.split("\u001e").flatMap((record, index) => {
    if (index === 0) {
      if (record !== "") throw new Error("the sequence does not begin with a separator");
      return [];
    }
    if (!record.endsWith("\n")) throw new Error("a record was cut");
    return [JSON.parse(record)];
  });

const traced = async (directory: string): Promise<Map<string, ReturnType<typeof recordsOf>>> => {
  const files = new Map<string, ReturnType<typeof recordsOf>>();
  for (const name of await readdir(directory)) {
    files.set(name, recordsOf(await readFile(path.join(directory, name), "utf8")));
  }
  return files;
};

const haveEnded = async (directory: string, count: number): Promise<Map<string, ReturnType<typeof recordsOf>>> => {
  const ended = async (): Promise<number> => {
    const files = await traced(directory).catch(() => new Map<string, ReturnType<typeof recordsOf>>());
    return [...files.values()].filter((records) => records.at(-1)?.name === "connectivity:connection_closed").length;
  };
  await expect.poll(ended).toBe(count);
  return traced(directory);
};

test("a trace tells the life of a connection from both ends in qlog's words, and nothing that is secret", async () => {
  await using files = await temporary();
  await using mesh = await openMesh({ transport: { trace: { directory: files.directory } } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const serving = serveEcho(gateway);
  await ask(node, Buffer.from("the password is swordfish"));
  await bothClosed(node, gateway);
  await serving;
  const traces = await haveEnded(files.directory, 2);
  const names = [...traces.keys()].toSorted();
  expect(names.map((name) => name.replace(/^[0-9a-f]+_/u, ""))).toEqual(["client.sqlog", "server.sqlog"]);
  // One connection has one name, whichever end tells of it.
  expect(new Set(names.map((name) => name.split("_")[0])).size).toBe(1);
  for (const [name, records] of traces) {
    const [header] = records;
    expect(header).toMatchObject({
      qlog_format: "JSON-SEQ",
      trace: { common_fields: { ODCID: name.split("_")[0] }, vantage_point: { type: name.split(/[_.]/u)[1] } },
    });
    const events = records.slice(1).map((record) => record.name);
    for (const event of [
      "connectivity:connection_started",
      "connectivity:connection_state_updated",
      "transport:datagrams_sent",
      "transport:datagrams_received",
      "transport:stream_state_updated",
      "recovery:metrics_updated",
    ]) {
      expect(events).toContain(event);
    }
    const times = records.slice(1).map((record) => record.time ?? -1);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    expect(records.at(-1)).toMatchObject({ data: { application_code: 7, reason: "enough" } });
    const text = await readFile(path.join(files.directory, name), "utf8");
    expect(text).not.toContain("swordfish");
    expect((await stat(path.join(files.directory, name))).mode & 0o777).toBe(0o600);
  }
});

test("a trace stops at its bound, and still says how the connection ended and what is missing", async () => {
  await using files = await temporary();
  const trace = { directory: files.directory, maxBytesPerConnection: 2000 };
  await using mesh = await openMesh({ transport: { trace } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const serving = serveEcho(gateway);
  for (let index = 0; index < 50; index += 1) await ask(node, Buffer.from("more"));
  await bothClosed(node, gateway);
  await serving;
  const traces = await haveEnded(files.directory, 2);
  for (const [name, records] of traces) {
    expect((await stat(path.join(files.directory, name))).size).toBeLessThan(3000);
    expect(records.at(-2)).toMatchObject({ name: "quaymesh:trace_truncated" });
  }
});

test("strangers and refused peers leave no file, and only so many connections do", async () => {
  await using files = await temporary();
  let isRefused = true;
  const transport = { trace: { directory: files.directory, maxConnections: 2 } };
  await using mesh = await openMesh({
    transport,
    authorize: () => (isRefused ? { kind: "refuse", reason: "unknown" } : { kind: "accept" }),
  });
  const serving = serveEchoOnAll(mesh.listener);
  const refused = await mesh.dial();
  await refused.closed;
  // The dialer had accepted its peer before it was refused.
  await haveEnded(files.directory, 1);
  isRefused = false;
  for (let index = 0; index < 3; index += 1) {
    const node = await mesh.dial();
    await ask(node, Buffer.from("x"));
    node.close(0);
    await node.closed;
  }
  await haveEnded(files.directory, 2);
  expect(await readdir(files.directory)).toHaveLength(2);
  await mesh.listener.close();
  await serving;
});

test("a trace beyond the number that is kept holds nothing, and takes nothing more", async () => {
  await using files = await temporary();
  const tracer = new Tracer({ directory: files.directory, maxConnections: 1 });
  const subject = (originalDcid: string) => ({
    role: "listener" as const,
    originalDcid,
    localAddress: { host: "127.0.0.1", port: 1 },
    remoteAddress: { host: "127.0.0.1", port: 2 },
  });
  const ended = vi.spyOn(FileSink.prototype, "end");
  const written = vi.spyOn(FileSink.prototype, "write");
  // Both begin while there is room for either.
  const kept = tracer.begin(subject("aa"));
  const late = tracer.begin(subject("bb"));
  kept?.accepted();
  expect(ended).not.toHaveBeenCalled();
  late?.accepted();
  expect(ended).toHaveBeenCalledTimes(1);
  written.mockClear();
  late?.received(100);
  late?.closed({ kind: "idle" });
  expect(written).not.toHaveBeenCalled();
  expect(late?.wantsMetrics(performance.now())).toBe(false);
  kept?.closed({ kind: "idle" });
  await haveEnded(files.directory, 1);
  expect(await readdir(files.directory)).toEqual(["aa_server.sqlog"]);
  vi.restoreAllMocks();
});

test("a trace that cannot be written is reported, and the connection goes on", async () => {
  await using files = await temporary();
  const blocked = path.join(files.directory, "file");
  await writeFile(blocked, "");
  using faults = hear(FAULTS);
  const mesh = await openMesh({ transport: { trace: { directory: path.join(blocked, "traces") } } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  expect(await ask(node, Buffer.from("still"))).toHaveLength(5);
  expect(faults.heard).toContainEqual(expect.objectContaining({ where: "trace" }));
  await mesh[Symbol.asyncDispose]();
  await serving;
});
