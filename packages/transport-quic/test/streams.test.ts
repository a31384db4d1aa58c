import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { accept, ask, nextStream, openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";
import { openProxy } from "../../../test/network/proxy.ts";

const KIB = 1024;

test("a writer that is not read from is made to wait, and goes on when the reader does", async () => {
  await using mesh = await openMesh({ transport: { streamWindowBytes: 64 * KIB, connectionWindowBytes: 128 * KIB } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  const bytes = randomBytes(1024 * KIB);
  let written = 0;
  const writing = (async () => {
    for (let at = 0; at < bytes.length; at += 8 * KIB) {
      await stream.write(bytes.subarray(at, at + 8 * KIB));
      written = at + 8 * KIB;
    }
    await stream.end(Buffer.from("."));
  })();
  const unread = await nextStream(await accepted);
  // Other streams pass while this one waits; each round trip is a chance for the writer to get on.
  let before = -1;
  while (before !== written) {
    before = written;
    const other = await node.openStream();
    await other.end(Buffer.from("x"));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  }
  expect(written).toBeLessThanOrEqual(256 * KIB);
  const got = await readAll(unread);
  await writing;
  expect(Buffer.compare(got.subarray(0, -1), bytes)).toBe(0);
});

test.each([
  ["an array", (bytes: number) => new Uint8Array(bytes)],
  ["a Buffer", (bytes: number) => Buffer.alloc(bytes)],
])("%s may be reused as soon as write returns, waiting or not", async (_what, allocate) => {
  await using mesh = await openMesh({ transport: { streamWindowBytes: 16 * KIB } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  const scratch = allocate(40 * KIB);
  const got = accepted.then(nextStream).then(readAll);
  for (let round = 0; round < 8; round += 1) {
    scratch.fill(round);
    const waiting = stream.write(scratch);
    scratch.fill(0xff);
    await waiting;
  }
  await stream.end(Buffer.of(9));
  const bytes = await got;
  expect(bytes).toHaveLength(8 * 40 * KIB + 1);
  for (let round = 0; round < 8; round += 1) {
    expect(bytes.subarray(round * 40 * KIB, (round + 1) * 40 * KIB).every((byte) => byte === round)).toBe(true);
  }
});

test("thousands of small writes keep their order and need no promise until the window is full", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  const got = accepted.then(nextStream).then(readAll);
  let promises = 0;
  const event = Buffer.alloc(200);
  for (let index = 0; index < 20_000; index += 1) {
    event.writeUInt32BE(index);
    const waiting = stream.write(event);
    if (waiting !== undefined) {
      promises += 1;
      await waiting;
    }
  }
  await stream.end(Buffer.from("."));
  const bytes = Buffer.from(await got);
  expect(bytes).toHaveLength(20_000 * 200 + 1);
  for (let index = 0; index < 20_000; index += 1) expect(bytes.readUInt32BE(index * 200)).toBe(index);
  expect(promises).toBeLessThan(1000);
});

test("what was read stays as it was while more is read", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  await stream.write(Buffer.of(0));
  const reading = await accepted.then(nextStream);
  await reading.read();
  const kept: Array<readonly [number, Uint8Array]> = [];
  for (let round = 1; round < 40; round += 1) {
    const length = round % 2 === 0 ? 100 : 30_000;
    await stream.write(Buffer.alloc(length, round));
    for (let got = 0; got < length;) {
      const chunk = await reading.read();
      if (chunk === null) throw new Error("ended early");
      got += chunk.length;
      kept.push([round, chunk]);
    }
  }
  for (const [round, chunk] of kept) expect(chunk.every((byte) => byte === round)).toBe(true);
});

test("what arrived before the peer's close can still be read", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  await stream.write(Buffer.from("hello"));
  const gateway = await accepted;
  const answering = await nextStream(gateway);
  await answering.write(Buffer.from("you are revoked"));
  gateway.close(0x52, "revoked");
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x52, reason: "revoked", byPeer: true });
  expect(Buffer.from((await stream.read()) ?? []).toString()).toBe("you are revoked");
  await expect(stream.read()).rejects.toMatchObject({ code: "CONNECTION_CLOSED", close: { code: 0x52 } });
});

test("a promise of a write that nobody awaits does not end the process", async () => {
  await using mesh = await openMesh({ transport: { streamWindowBytes: 16 * KIB } });
  const node = await mesh.dial();
  const stream = await node.openStream();
  void stream.write(randomBytes(100 * KIB));
  node.close(0);
  expect(() => stream.write(Buffer.of(1))).toThrow(expect.objectContaining({ code: "CONNECTION_CLOSED" }));
});

test("a dialer keeps to the shorter idle timeout of the two ends", async () => {
  await using mesh = await openMesh({ limits: { idleTimeoutMs: 1000 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial({ idleTimeoutMs: 60_000 });
  expect(await ask(node, Buffer.from("x"))).toHaveLength(1);
  const { datagramsReceived } = mesh.listener.stats();
  await expect
    .poll(() => mesh.listener.stats().datagramsReceived - datagramsReceived, { timeout: 10_000 })
    .toBeGreaterThanOrEqual(5);
  expect(await ask(node, Buffer.from("y"))).toHaveLength(1);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("keep-alive holds a connection on which nobody speaks", async () => {
  await using mesh = await openMesh({ limits: { idleTimeoutMs: 1000 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial({ idleTimeoutMs: 1000 });
  expect(await ask(node, Buffer.from("x"))).toHaveLength(1);
  const { datagramsReceived } = mesh.listener.stats();
  // Seven pings are more than two idle timeouts.
  await expect
    .poll(() => mesh.listener.stats().datagramsReceived - datagramsReceived, { timeout: 10_000 })
    .toBeGreaterThanOrEqual(7);
  expect(await ask(node, Buffer.from("y"))).toHaveLength(1);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("silence ends a connection as idle, on both ends", async () => {
  await using mesh = await openMesh({ limits: { idleTimeoutMs: 600 } });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: proxy.port, idleTimeoutMs: 600 });
  const gateway = await accepted;
  const stream = await node.openStream();
  proxy.lose(1);
  const reading = stream.read();
  await expect(reading).rejects.toMatchObject({ code: "CONNECTION_CLOSED", close: { kind: "idle" } });
  expect(await node.closed).toEqual({ kind: "idle" });
  expect((await gateway.closed).kind).toMatch(/idle|application/);
});

test("stats tell what crossed and what was lost", async () => {
  await using mesh = await openMesh({ transport: { datagramBytes: 1350 } });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  proxy.lose(0.05);
  await ask(node, randomBytes(500 * KIB));
  const stats = node.stats();
  expect(stats.bytesSent).toBeGreaterThan(500 * KIB);
  expect(stats.bytesReceived).toBeGreaterThan(500 * KIB);
  expect(stats.packetsLost).toBeGreaterThan(0);
  expect(stats.congestionWindowBytes).toBeGreaterThan(0);
  await mesh[Symbol.asyncDispose]();
  await serving;
});
