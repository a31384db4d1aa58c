import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accept, ask, nextStream, openMesh, serveEcho } from "./support/mesh.ts";
import { openProxy } from "../../../test/network/proxy.ts";

const RESET = { kind: "transport", byPeer: true, reason: "stateless reset" };
/** One interval without a question, as something was heard in it, and one with. */
const TWO_INTERVALS_MS = 2000;
/** A batch of datagrams takes one turn. */
const QUIET_TURNS = 20;

/** Wait until a figure has grown and grows no more. */
async function settled(figure: () => number): Promise<void> {
  const before = figure();
  let seen = before;
  for (let turns = 0; turns < QUIET_TURNS; turns += 1) {
    await setImmediate();
    const now = figure();
    if (now === before || now !== seen) turns = 0;
    seen = now;
  }
}

// Held still, so that quiche's own probes, which come quickly at first, play no part.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

for (const [what, writeBytes] of [
  ["waits for an acknowledgement", 100],
  ["has filled its congestion window", 8 << 20],
] as const) {
  test(`a dialer that ${what} hears of a restarted gateway when it next asks`, async () => {
    const resetSecret = new Uint8Array(32).fill(7);
    await using gateway = await openMesh({ resetSecret });
    await using successor = await openMesh({ resetSecret });
    await using proxy = await openProxy({ upstreamPort: gateway.listener.address.port });
    const accepted = accept(gateway.listener);
    const node = await gateway.dial({ port: proxy.port });
    const serving = serveEcho(await accepted);
    await ask(node, Buffer.from("hello"));
    const stream = await node.openStream();
    proxy.lose(1);
    const lost = settled(() => proxy.dropped);
    void stream.write(new Uint8Array(writeBytes));
    await lost;
    proxy.redirect(successor.listener.address.port);
    proxy.lose(0);
    vi.advanceTimersByTime(TWO_INTERVALS_MS);
    expect(await node.closed).toMatchObject(RESET);
    await gateway.listener.close();
    await serving;
  });
}

test("a dialer whose last word was acknowledged but never answered hears of a restarted gateway too", async () => {
  const resetSecret = new Uint8Array(32).fill(7);
  await using gateway = await openMesh({ resetSecret });
  await using successor = await openMesh({ resetSecret });
  await using proxy = await openProxy({ upstreamPort: gateway.listener.address.port });
  const accepted = accept(gateway.listener);
  const node = await gateway.dial({ port: proxy.port });
  const stream = await node.openStream();
  const acknowledged = settled(() => node.stats().bytesReceived);
  await stream.write(Buffer.from("anyone?"));
  expect(await (await nextStream(await accepted)).read()).toHaveLength(7);
  await acknowledged;
  proxy.redirect(successor.listener.address.port);
  vi.advanceTimersByTime(TWO_INTERVALS_MS);
  expect(await node.closed).toMatchObject(RESET);
});
