import { describe, expect, it } from "vitest";
import {
  encodeFrame,
  frame,
  MAX_UNAUTHENTICATED_FRAME_BYTES,
  MessageStream,
  parsePublishMessage,
  parsePublishReply,
  type ByteStream,
} from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";

const trust = { kind: "anchored", anchorsPem: "root" } as const;
const named = (name: string) => ({ keyPem: name, chainPem: name });

/** Both ends of one stream. */
async function streamPair(): Promise<{ near: ByteStream; far: ByteStream } & AsyncDisposable> {
  const network = createMemoryNetwork();
  const listener = await network.listen({
    address: { host: "m", port: 0 },
    protocol: "p",
    credentials: named("s"),
    trust,
  });
  const dialed = await network.dial(listener.address, {
    protocol: "p",
    serverName: "s",
    credentials: named("c"),
    trust,
  });
  const near = await dialed.openStream();
  await near.write(Uint8Array.of(0, 0, 0, 1, 0xf6));
  for await (const connection of listener) {
    for await (const far of connection.incomingStreams) {
      await far.read();
      return { near, far, [Symbol.asyncDispose]: () => listener.close() };
    }
  }
  throw new Error("no stream arrived");
}

const ack = (seq: number) => ({ type: "ack", seq }) as const;

describe("message stream", () => {
  it("sends and receives messages, and skips types nobody knows", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    const gateway = new MessageStream(pair.far);
    await gateway.send(ack(1));
    await gateway.sendFrame(encodeFrame({ type: "confetti" }));
    await gateway.end(ack(2));
    expect(await node.expect(parsePublishReply)).toEqual(ack(1));
    expect(await node.receive(parsePublishReply)).toEqual(ack(2));
    expect(await node.receive(parsePublishReply)).toBeNull();
    await expect(node.expect(parsePublishReply)).rejects.toMatchObject({ code: "STATE_INVALID" });
  });

  it("gives all frames of a chunk at once", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    const three = Buffer.concat([1, 2, 3].map((seq) => encodeFrame(ack(seq))));
    await pair.far.write(three);
    expect(await node.readBatch()).toHaveLength(3);
    await pair.far.write(three.subarray(0, 7));
    const rest = node.readBatch();
    await pair.far.end(three.subarray(7));
    expect(await rest).toHaveLength(3);
    expect(await node.readBatch()).toBeNull();
    expect(await node.readBatch()).toBeNull();
  });

  it("gives each frame out once, however the ways of reading are mixed", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    await pair.far.end(Buffer.concat([1, 2, 3, 4, 5, 6].map((seq) => encodeFrame(ack(seq)))));
    const seen: unknown[] = [await node.receive(parsePublishReply)];
    for await (const message of node.messages(parsePublishReply)) {
      seen.push(message);
      if (seen.length === 3) break;
    }
    for await (const body of node) {
      seen.push(parsePublishReply(body));
      break;
    }
    for (const body of (await node.readBatch()) ?? []) seen.push(parsePublishReply(body));
    expect(seen).toEqual([1, 2, 3, 4, 5, 6].map(ack));
    expect(await node.read()).toBeNull();
  });

  it("says that a stream ended inside a frame", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    await pair.far.end(Buffer.concat([encodeFrame(ack(1)), encodeFrame(ack(2)).subarray(0, 6)]));
    expect(await node.receive(parsePublishReply)).toEqual(ack(1));
    await expect(node.receive(parsePublishReply)).rejects.toMatchObject({ code: "FRAME_TRUNCATED" });
  });

  it("gives the good frames in front of a bad one, then the error", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near, { maxFrameBytes: MAX_UNAUTHENTICATED_FRAME_BYTES });
    await pair.far.write(
      Buffer.concat([encodeFrame(ack(1)), frame(new Uint8Array(MAX_UNAUTHENTICATED_FRAME_BYTES + 1))]),
    );
    expect(await node.receive(parsePublishReply)).toEqual(ack(1));
    await expect(node.receive(parsePublishReply)).rejects.toMatchObject({ code: "FRAME_TOO_LARGE" });
  });

  it("fails with an error frame as its last, which the peer's reader throws", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    const gateway = new MessageStream(pair.far);
    await gateway.fail({ code: "RESUME_COMPACTED", message: "gone", details: { earliest: 11 } });
    await expect(node.receive(parsePublishReply)).rejects.toMatchObject({
      name: "RemoteError",
      code: "RESUME_COMPACTED",
      details: { earliest: 11 },
    });
    expect(await node.read()).toBeNull();
    await node.end({ type: "end" });
    expect(await gateway.receive(parsePublishMessage)).toEqual({ type: "end" });
  });

  it("passes on how the stream broke", async () => {
    await using pair = await streamPair();
    const node = new MessageStream(pair.near);
    const gateway = new MessageStream(pair.far);
    gateway.reset(0x40);
    await expect(node.read()).rejects.toMatchObject({ code: "STREAM_RESET", resetCode: 0x40 });
    expect(() => node.send({ type: "end" })).toThrow(expect.objectContaining({ code: "STREAM_RESET" }));
    await node[Symbol.asyncDispose]();
  });
});
