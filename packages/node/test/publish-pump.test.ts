import {
  encodeValue,
  MessageStream,
  parsePublishMessage,
  parseRequest,
  type ByteStream,
  type Connection,
} from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { expect, it } from "vitest";
import { PublishPump } from "../src/events/publish-pump.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import { CrashingFiles } from "./support/crashing-files.ts";
import { ManualClock } from "./support/manual-clock.ts";

const ADDRESS = { host: "gateway", port: 1 };
const WELCOME = {
  type: "welcome",
  sessionEpoch: 1,
  mesh: "mesh",
  heartbeatMs: 30_000,
  ackedSeq: 0,
  policyVersion: 0,
  limits: { maxFrameBytes: 65_536, maxBatchEvents: 100, maxEventBytes: 65_536 },
  time: 0,
} as const;

/** Both ends of a connection. */
async function connect(network = createMemoryNetwork()): Promise<readonly [Connection, Connection]> {
  const common = { protocol: "test", credentials: { keyPem: "k", chainPem: "c" } } as const;
  const trust = { kind: "anchored", anchorsPem: "" } as const;
  const listener = await network.listen({ address: ADDRESS, trust, ...common });
  const near = await network.dial(ADDRESS, { serverName: "gateway", trust, ...common });
  for await (const far of listener) return [near, far];
  throw new Error("nobody came");
}

it("an answer that comes while the write of its batch still waits for room is taken for what it is", async () => {
  await using outbox = await Outbox.open({ directory: "/outbox", files: new CrashingFiles() });
  const [near, far] = await connect();
  // The batch has been read and answered before its writer hears that there is room.
  const answered = Promise.withResolvers<void>();
  let frames = 0;
  const slow = (stream: ByteStream): ByteStream => ({
    id: stream.id,
    read: async (into) => {
      const bytes = await stream.read(into);
      if (frames > 1) setImmediate(answered.resolve);
      return bytes;
    },
    write: (bytes) => {
      frames += 1;
      return frames === 1 ? stream.write(bytes) : (void stream.write(bytes), answered.promise);
    },
    end: (bytes) => stream.end(bytes),
    reset: (code) => stream.reset(code),
    [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    [Symbol.asyncDispose]: () => stream[Symbol.asyncDispose](),
  });
  const connection: Connection = new Proxy(near, {
    get: (target, name) => {
      if (name === "openStream") return async () => slow(await target.openStream());
      return Reflect.get(target, name, target);
    },
  });
  const over = new AbortController();
  const pump = new PublishPump(
    { connection, welcome: WELCOME, address: ADDRESS, signal: over.signal },
    { outbox, clock: new ManualClock() },
  );
  await outbox.append({ kind: "test.tick", time: 1, data: encodeValue(1) });
  const running = pump.run();
  for await (const incoming of far.incomingStreams) {
    const stream = new MessageStream(incoming);
    const request = await stream.read();
    expect(request === null ? undefined : parseRequest(request, ["events.publish"]).method).toBe("events.publish");
    await stream.send({ type: "ready", ackedSeq: 0 });
    expect(await stream.expect(parsePublishMessage)).toMatchObject({ type: "batch", first: 1 });
    await stream.send({ type: "ack", seq: 1 });
    break;
  }
  await Promise.race([outbox.acknowledged(1), running]);
  over.abort();
  await running;
  expect(outbox.acked).toBe(1);
});

/** Publish through streams of which each write waits. @returns the types of what arrived, in order, and how many events */
async function publishWaiting(
  ready: { readonly encodings?: string[] },
  compress: "auto" | "never",
): Promise<readonly string[]> {
  await using outbox = await Outbox.open({ directory: "/outbox", files: new CrashingFiles() });
  const network = createMemoryNetwork({ windowBytes: 4096 });
  const [near, far] = await connect(network);
  const over = new AbortController();
  const pump = new PublishPump(
    { connection: near, welcome: WELCOME, address: ADDRESS, signal: over.signal },
    { outbox, clock: new ManualClock(), compress },
  );
  for (let time = 1; time <= 600; time++) {
    await outbox.append({ kind: "test.tick", time, data: encodeValue("the same words over and over") });
  }
  const running = pump.run();
  const types: string[] = [];
  for await (const incoming of far.incomingStreams) {
    const stream = new MessageStream(incoming);
    await stream.read();
    await stream.send({ type: "ready", ackedSeq: 0, ...ready });
    for (let batch = 1; batch <= 6; batch++) {
      types.push((await stream.expect(parsePublishMessage)).type);
      await stream.send({ type: "ack", seq: batch * 100 });
    }
    break;
  }
  await Promise.race([outbox.acknowledged(600), running]);
  over.abort();
  await running;
  return types;
}

const PLAIN = Array.from({ length: 6 }, () => "batch");

it("batches are packed once four writes in a row had to wait, where the gateway takes them so", async () => {
  const types = await publishWaiting({ encodings: ["br", "zstd"] }, "auto");
  expect(types).toEqual([...PLAIN.slice(0, 4), "batch.packed", "batch.packed"]);
});

it("batches go plain to a gateway that does not say it unpacks, or unpacks something else, and where it is not wanted", async () => {
  expect(await publishWaiting({}, "auto")).toEqual(PLAIN);
  expect(await publishWaiting({ encodings: ["br"] }, "auto")).toEqual(PLAIN);
  expect(await publishWaiting({ encodings: ["zstd"] }, "never")).toEqual(PLAIN);
});
