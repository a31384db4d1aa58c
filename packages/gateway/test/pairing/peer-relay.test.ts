import { encodeFrame, MessageStream, parsePairToNode, type Connection, type PeerTrust } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PeerRelay } from "../../src/pairing/child/peer-relay.ts";

// Hanging up is a matter of time for whoever does not do it; here no time passes unless a test says so.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const HELLO = {
  v: 1,
  method: "pair",
  nonce: new Uint8Array(16),
  ya: new Uint8Array(32),
  name: "build-box",
  platform: { os: "linux", arch: "x64" },
  csrHash: new Uint8Array(32),
};

/** A connection, and its relay's run. */
async function connected(): Promise<{ readonly peer: Connection; readonly relay: Promise<void> }> {
  const network = createMemoryNetwork();
  const protocol = "quaymesh-pair/1";
  const trust: PeerTrust = { kind: "judged", authorize: () => ({ kind: "accept" }) };
  const credentials = { keyPem: "key", chainPem: "chain" };
  const listener = await network.listen({ address: { host: "127.0.0.1", port: 0 }, protocol, credentials, trust });
  const peer = await network.dial(listener.address, { protocol, serverName: "pair", credentials, trust });
  const accepted = await listener[Symbol.asyncIterator]().next();
  if (accepted.done === true) throw new Error("nobody was accepted");
  return { peer, relay: new PeerRelay(1, accepted.value, () => {}).run() };
}

/** A peer that was refused: what it said first is no hello. */
async function refused(): Promise<{ readonly peer: Connection; readonly stream: MessageStream; relay: Promise<void> }> {
  const { peer, relay } = await connected();
  const bytes = await peer.openStream();
  await bytes.write(encodeFrame({ v: 1, method: "health" }));
  const stream = new MessageStream(bytes);
  await expect(stream.expect(parsePairToNode)).rejects.toMatchObject({ code: "METHOD_UNKNOWN" });
  return { peer, stream, relay };
}

test("a peer that was refused is let go as soon as it has read why", async () => {
  const { peer, stream, relay } = await refused();
  await stream.end({ type: "end" });
  expect(await peer.closed).toMatchObject({ kind: "application", code: 0 });
  await relay;
});

test("a peer that was refused and says no more is let go after a moment", async () => {
  const { peer, relay } = await refused();
  let closed = false;
  void peer.closed.then(() => {
    closed = true;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(closed).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(await peer.closed).toMatchObject({ code: 0 });
  await relay;
});

test("a peer that says it is done is let go at once: it waits for nothing but that", async () => {
  const { peer, relay } = await connected();
  const stream = new MessageStream(await peer.openStream());
  await stream.sendFrame(encodeFrame(HELLO));
  await stream.end({ type: "done" });
  expect(await peer.closed).toMatchObject({ kind: "application", code: 0 });
  await relay;
});

test("a peer that ends its side without a last word is given a moment", async () => {
  const { peer, relay } = await connected();
  const stream = new MessageStream(await peer.openStream());
  await stream.sendFrame(encodeFrame(HELLO));
  await stream.end({ type: "prove", mac: new Uint8Array(64), csr: new Uint8Array(1) });
  let closed = false;
  void peer.closed.then(() => {
    closed = true;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(closed).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await relay;
});
