import { expect, test, vi } from "vitest";
import type { ByteStream, Connection } from "@quaymesh/protocol";
import { STREAMS_PER_TURN, THROTTLE_PAUSE_MS, WorkShare } from "../src/work-share.ts";
import { accept, ask, nextStream, openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";

const unbound = { maxStreamsPerSecond: Infinity, maxResetsPerSecond: 1000 };

test("a turn takes up so many streams, and asks for the next one for the rest", () => {
  const share = new WorkShare(unbound, 0);
  expect(share.grant(STREAMS_PER_TURN, 0)).toEqual({ kind: "all" });
  share.beginTurn();
  expect(share.grant(STREAMS_PER_TURN + 1, 0)).toEqual({ kind: "turn", granted: STREAMS_PER_TURN });
});

test("a turn that asks several times gets no more for it", () => {
  const share = new WorkShare(unbound, 0);
  expect(share.grant(STREAMS_PER_TURN - 1, 0)).toEqual({ kind: "all" });
  expect(share.grant(2, 0)).toEqual({ kind: "turn", granted: 1 });
  expect(share.grant(1, 0)).toEqual({ kind: "turn", granted: 0 });
  share.beginTurn();
  expect(share.grant(STREAMS_PER_TURN, 0)).toEqual({ kind: "all" });
});

test("beyond its rate a peer's streams wait, and come as time passes", () => {
  const share = new WorkShare({ ...unbound, maxStreamsPerSecond: 10 }, 0);
  expect(share.grant(20, 0)).toEqual({ kind: "all" });
  expect(share.grant(5, 0)).toMatchObject({ kind: "throttled", granted: 0 });
  expect(share.grant(5, 300)).toMatchObject({ kind: "throttled", granted: 3 });
  expect(share.grant(2, 500)).toEqual({ kind: "all" });
});

test("resets are counted against a rate of their own", () => {
  const share = new WorkShare({ ...unbound, maxResetsPerSecond: 10 }, 0);
  for (let index = 0; index < 40; index += 1) expect(share.reset(0)).toBe(true);
  expect(share.reset(0)).toBe(false);
  expect(share.reset(100)).toBe(true);
  expect(share.reset(100)).toBe(false);
});

const openMany = async (node: Connection, streams: number): Promise<Promise<Uint8Array>[]> => {
  const opened = await Promise.all(Array.from({ length: streams }, () => node.openStream()));
  // In one go: they leave in as few datagrams as they fit.
  for (const stream of opened) void stream.end(Buffer.from("x"));
  return opened.map((stream) => readAll(stream));
};

/** Answers streams, and counts how many were taken up in each turn of the event loop. */
function serveCounting(gateway: Connection) {
  const perTurn: number[] = [];
  let turn = 0;
  let isOver = false;
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const serving = (async () => {
    for await (const stream of gateway.incomingStreams) {
      perTurn[turn] = (perTurn[turn] ?? 0) + 1;
      void readAll(stream).then((bytes) => stream.end(bytes));
    }
    isOver = true;
  })();
  // Turns in which none was are left out.
  return { serving, taken: () => perTurn.filter(Number.isFinite) };
}

test("streams opened all at once are taken up a share a turn, so that others get theirs between, and none is lost", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const { serving, taken } = serveCounting(await accepted);
  const answers = await openMany(node, 900);
  expect(await Promise.all(answers)).toHaveLength(900);
  expect(taken().reduce((sum, streams) => sum + streams, 0)).toBe(900);
  // In this process both ends share the loop, and a turn of it is one of theirs.
  expect(Math.max(...taken())).toBeLessThanOrEqual(STREAMS_PER_TURN);
  node.close(0);
  await serving;
});

test("streams on both sides of one that is late share one turn's share, and the late one is taken up when it comes", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const { serving, taken } = serveCounting(await accepted);
  const opened = await Promise.all(Array.from({ length: 200 }, () => node.openStream()));
  const late = opened.splice(STREAMS_PER_TURN, 1);
  for (const stream of opened) void stream.end(Buffer.from("x"));
  await Promise.all(opened.map((stream) => readAll(stream)));
  expect(taken().reduce((sum, streams) => sum + streams, 0)).toBe(199);
  expect(Math.max(...taken())).toBeLessThanOrEqual(STREAMS_PER_TURN);
  for (const stream of late) {
    void stream.end(Buffer.from("late"));
    expect(await readAll(stream)).toHaveLength(4);
  }
  node.close(0);
  await serving;
});

test("a connection that ends while its peer's streams are held back leaves no timer behind", async () => {
  const mesh = await openMesh({ limits: { maxStreamsPerSecond: 1 } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const first = await node.openStream();
  await first.end(Buffer.from("first"));
  await readAll(await nextStream(gateway));
  const set = vi.spyOn(globalThis, "setTimeout");
  const cleared = vi.spyOn(globalThis, "clearTimeout");
  // One is left out, so that the others are found where the end of the turn is the end of the connection.
  await node.openStream();
  for (const stream of await Promise.all([1, 2, 3].map(() => node.openStream()))) void stream.end(Buffer.from("x"));
  node.close(0);
  await gateway.closed;
  expect(mesh.listener.stats().throttled).toBe(1);
  const pauses = set.mock.results.filter((_, index) => set.mock.calls[index]?.[1] === THROTTLE_PAUSE_MS);
  expect(pauses).toHaveLength(1);
  for (const { value } of pauses) expect(cleared).toHaveBeenCalledWith(value);
  vi.restoreAllMocks();
  await mesh[Symbol.asyncDispose]();
});

test("a peer that opens streams faster than it may waits for its answers, and a neighbour does not", async () => {
  const mesh = await openMesh({ limits: { maxStreamsPerSecond: 100 } });
  const serving = serveEchoOnAll(mesh.listener);
  const greedy = await mesh.dial();
  const neighbour = await mesh.dial();
  const began = performance.now();
  const answers = Promise.all(await openMany(greedy, 400));
  let isDone = false;
  void answers.then(() => (isDone = true));
  expect(await ask(neighbour, Buffer.from("me too"))).toHaveLength(6);
  expect(isDone).toBe(false);
  expect(await answers).toHaveLength(400);
  // 200 at once, and 200 more at 100 a second.
  expect(performance.now() - began).toBeGreaterThan(1900);
  expect(mesh.listener.stats().throttled).toBeGreaterThan(0);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a peer that resets streams as fast as it opens them is sent away, is told why, and is counted", async () => {
  const mesh = await openMesh({ limits: { maxResetsPerSecond: 10 } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const serving = (async () => {
    for await (const stream of gateway.incomingStreams) {
      void readAll(stream).then(
        (bytes) => stream.end(bytes),
        () => {},
      );
    }
  })();
  const resetOne = async (): Promise<void> => {
    const stream = await node.openStream();
    await stream.write(Buffer.from("x"));
    // Only what was taken up is work that was done in vain.
    await ask(node, Buffer.from("sync"));
    stream.reset(1);
  };
  const flood = async (): Promise<void> => {
    for (let index = 0; index < 1000; index += 1) await resetOne();
  };
  await expect(flood()).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x54, byPeer: true });
  expect(mesh.listener.stats().cut).toEqual({ resets: 1 });
  await serving;
  await mesh[Symbol.asyncDispose]();
});

test("a connection that had as many streams as it may is ended once they are answered, and counted; the peer may dial again", async () => {
  const mesh = await openMesh({ limits: { maxStreamsEver: 10 } });
  const serving = serveEchoOnAll(mesh.listener);
  for (const cuts of [1, 2]) {
    const node = await mesh.dial();
    for (let index = 0; index < 10; index += 1) {
      expect((await ask(node, Buffer.of(index)))[0]).toBe(index);
    }
    await expect(ask(node, Buffer.from("one more"))).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
    expect(await node.closed).toMatchObject({ kind: "application", code: 0, byPeer: true });
    expect(mesh.listener.stats().cut).toEqual({ streams: cuts });
  }
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("what a connection took up before it had its last stream is answered; what came beyond it is not taken up", async () => {
  const mesh = await openMesh({ limits: { maxStreamsEver: 10 } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const taken: ByteStream[] = [];
  const all = Promise.withResolvers<void>();
  const taking = (async () => {
    for await (const stream of gateway.incomingStreams) {
      taken.push(stream);
      if (taken.length === 10) all.resolve();
    }
  })();
  const answers = Promise.allSettled(await openMany(node, 64));
  await all.promise;
  // The gateway has surely seen all of them.
  await expect.poll(() => gateway.stats().bytesReceived).toBeGreaterThanOrEqual(node.stats().bytesSent);
  expect(taken).toHaveLength(10);
  for (const stream of taken) await stream.end(await readAll(stream));
  const results = await answers;
  expect(results.map(({ status }) => status)).toEqual([
    ...Array.from({ length: 10 }, () => "fulfilled"),
    ...Array.from({ length: 54 }, () => "rejected"),
  ]);
  expect(await node.closed).toMatchObject({ kind: "application", code: 0, byPeer: true });
  expect(mesh.listener.stats().cut).toEqual({ streams: 1 });
  await taking;
  expect(taken).toHaveLength(10);
  await mesh[Symbol.asyncDispose]();
});

test("a stream that was held back is not left out because one beyond the last has come", async () => {
  const mesh = await openMesh({ limits: { maxStreamsEver: 50, maxStreamsPerSecond: 20 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const results = await Promise.allSettled(await openMany(node, 64));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(50);
  expect(await node.closed).toMatchObject({ kind: "application", code: 0, byPeer: true });
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a connection that had its last stream does not wait for ever for one that goes on", async () => {
  const mesh = await openMesh({ limits: { maxStreamsEver: 2 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const endless = await node.openStream();
  await endless.write(Buffer.from("x"));
  await ask(node, Buffer.from("one"));
  const began = performance.now();
  await expect(ask(node, Buffer.from("two"))).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  expect(performance.now() - began).toBeGreaterThan(2000);
  expect(mesh.listener.stats().cut).toEqual({ streams: 1 });
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a peer that resets a few streams is left alone", async () => {
  const mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  for (let index = 0; index < 100; index += 1) {
    const stream = await node.openStream();
    await stream.write(Buffer.from("x"));
    const far = await nextStream(gateway);
    const read = (async () => {
      await far.read();
      await far.read();
    })();
    stream.reset(1);
    await expect(read).rejects.toMatchObject({ code: "STREAM_RESET" });
  }
  expect(mesh.listener.stats().cut).toEqual({});
  await mesh[Symbol.asyncDispose]();
});

test("streams that wait for their turn get it where their peer sends nothing more", async () => {
  await using mesh = await openMesh({ transport: { probeMs: 60_000, keepAliveMs: 60_000 } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  let taken = 0;
  const taking = (async () => {
    for await (const _ of gateway.incomingStreams) taken += 1;
  })();
  const streams = await Promise.all(Array.from({ length: 5 * STREAMS_PER_TURN }, () => node.openStream()));
  for (const stream of streams) void stream.write(Buffer.from("x"));
  await expect.poll(() => taken, { timeout: 10_000 }).toBe(streams.length);
  node.close(0);
  await taking;
});
