/** Conversations over networks that misbehave: every stream arrives whole, whatever happens to datagrams. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { openMesh, serveEchoOnAll } from "../../packages/transport-quic/test/support/mesh.ts";
import { converse, echoBulk, openPair } from "./conversation.ts";
import { openProxy } from "./proxy.ts";
import { testSeed } from "./random.ts";
import type { Weather, WeatherCounts } from "./weather.ts";

const LONG_MS = 120_000;

const DELAY = { delayMs: 50, jitterMs: 20 };

describe("a conversation is whole", () => {
  test.each<{ readonly where: string; readonly weather: Weather; readonly bulkBytes: number }>([
    { where: "a tenth of the datagrams is lost", weather: { loss: 0.1 }, bulkBytes: 500_000 },
    { where: "a third of the datagrams is overtaken", weather: { reordering: 0.3 }, bulkBytes: 1_000_000 },
    { where: "a third of the datagrams comes twice", weather: { duplication: 0.3 }, bulkBytes: 1_000_000 },
    { where: "each datagram takes 50 to 70 ms", weather: DELAY, bulkBytes: 150_000 },
    { where: "a tenth of the datagrams is corrupted", weather: { corruption: 0.1 }, bulkBytes: 500_000 },
    {
      where: "the path carries 1 MB a second with a short queue",
      weather: { bytesPerSecond: 1_000_000, queueBytes: 20_000, delayMs: 5 },
      bulkBytes: 500_000,
    },
    {
      where: "all of it happens at once",
      weather: { loss: 0.1, reordering: 0.1, duplication: 0.1, corruption: 0.02, ...DELAY },
      bulkBytes: 30_000,
    },
  ])("where $where", async ({ weather, bulkBytes }) => {
    await using pair = await openPair();
    pair.proxy.change(weather);
    await converse(pair, { smallStreams: 64, bulkBytes });
    const [up, down] = [pair.proxy.counts("up"), pair.proxy.counts("down")];
    const happened = (what: keyof WeatherCounts): number => up[what] + down[what];
    if (weather.loss !== undefined) expect(happened("lost")).toBeGreaterThan(0);
    if (weather.reordering !== undefined) expect(happened("reordered")).toBeGreaterThan(0);
    if (weather.duplication !== undefined) expect(happened("duplicated")).toBeGreaterThan(0);
    if (weather.corruption !== undefined) expect(happened("corrupted")).toBeGreaterThan(0);
    if (weather.bytesPerSecond !== undefined) expect(happened("queueFull")).toBeGreaterThan(0);
  });

  test("after a while in which nothing arrived", async () => {
    await using pair = await openPair();
    let outages = 0;
    await Promise.all([
      converse(pair, { smallStreams: 64, bulkBytes: 500_000 }),
      echoBulk(pair.node, randomBytes(2_000_000), (bytes) => {
        if (bytes < 500_000 * (outages + 1) || outages === 2) return undefined;
        outages += 1;
        // More than a window of a sender that waits: probes, each after twice the time, use up the rest.
        pair.proxy.change({ outage: 10 });
        return undefined;
      }),
    ]);
    expect(outages).toBe(2);
    expect(pair.proxy.dropped).toBeGreaterThanOrEqual(20);
  });
});

test("handshakes complete where a fifth of the datagrams is lost", { timeout: 2 * LONG_MS }, async () => {
  await using mesh = await openMesh({
    transport: { datagramBytes: 1350 },
    // From the first datagram that arrives. Who has heard nothing asks again after 1, 3, 7, 15, 31 and 63 s: of twenty, one may be that unlucky.
    limits: { handshakeTimeoutMs: LONG_MS, firstByteTimeoutMs: LONG_MS },
  });
  await using proxy = await openProxy({
    upstreamPort: mesh.listener.address.port,
    weather: { loss: 0.2 },
    seed: testSeed(),
  });
  const serving = serveEchoOnAll(mesh.listener);
  const dials = Array.from({ length: 20 }, () => mesh.dial({ port: proxy.port, handshakeTimeoutMs: LONG_MS }));
  const connections = await Promise.all(dials);
  expect(connections).toHaveLength(20);
  expect(proxy.counts("up").lost).toBeGreaterThan(0);
  await mesh[Symbol.asyncDispose]();
  await serving;
});
