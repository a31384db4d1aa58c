import { describe, expect, test } from "vitest";
import { seededRandom } from "./random.ts";
import { MOST_LATE_MS, Sky, type Weather } from "./weather.ts";

const TOTAL = 10_000;

/** Datagrams that carry their number. */
const numbered = (length = 100): Uint8Array[] =>
  Array.from({ length: TOTAL }, (_, number) => {
    const datagram = Buffer.alloc(length, number);
    datagram.writeUInt32BE(number);
    return datagram;
  });

const arrivals = (weather: Weather, seed = 1, everyMs = 0) => {
  const sky = new Sky(weather, seededRandom(seed));
  const came = numbered().flatMap((datagram, index) => sky.pass(datagram, index * everyMs));
  const numbers = came.map(({ datagram }) => Buffer.from(datagram).readUInt32BE());
  return { sky, came, numbers };
};

describe("the network of the tests", () => {
  test("changes nothing unless told to", () => {
    const { came, numbers } = arrivals({});
    expect(numbers).toEqual(Array.from({ length: TOTAL }, (_, number) => number));
    expect(came.every(({ afterMs }) => afterMs === 0)).toBe(true);
  });

  test("does the same again with the same seed, and something else with another", () => {
    const weather = { loss: 0.1, duplication: 0.1, reordering: 0.1, jitterMs: 10 };
    expect(arrivals(weather, 5).came).toEqual(arrivals(weather, 5).came);
    expect(arrivals(weather, 5).numbers).not.toEqual(arrivals(weather, 6).numbers);
  });

  test("loses the share it is told to", () => {
    const { sky, numbers } = arrivals({ loss: 0.1 });
    expect(sky.dropped).toBeGreaterThan(TOTAL * 0.08);
    expect(sky.dropped).toBeLessThan(TOTAL * 0.12);
    expect(numbers).toHaveLength(TOTAL - sky.dropped);
  });

  test("repeats datagrams", () => {
    const { sky, numbers } = arrivals({ duplication: 0.1 });
    expect(sky.counts.duplicated).toBeGreaterThan(TOTAL * 0.08);
    expect(numbers).toHaveLength(TOTAL + sky.counts.duplicated);
    expect(new Set(numbers).size).toBe(TOTAL);
  });

  test("lets datagrams overtake each other, by no more than it says", () => {
    const { sky, came } = arrivals({ reordering: 0.1 });
    const delays = came.map(({ afterMs }) => afterMs);
    expect(sky.counts.reordered).toBeGreaterThan(TOTAL * 0.08);
    expect(delays.filter((afterMs) => afterMs > 0)).toHaveLength(sky.counts.reordered);
    expect(Math.max(...delays)).toBeGreaterThan(MOST_LATE_MS * 0.9);
    expect(Math.max(...delays)).toBeLessThan(MOST_LATE_MS);
  });

  test("flips one bit of what it corrupts", () => {
    const sky = new Sky({ corruption: 0.1 }, seededRandom(1));
    const flipped = numbered().flatMap((sent) => {
      const [came] = sky.pass(sent, 0);
      const bits = [...(came?.datagram ?? [])].map((byte, index) => (byte ^ (sent[index] ?? 0)).toString(2));
      return bits.join("").replaceAll("0", "").length;
    });
    expect(new Set(flipped)).toEqual(new Set([0, 1]));
    expect(flipped.filter((bits) => bits === 1)).toHaveLength(sky.counts.corrupted);
    expect(sky.counts.corrupted).toBeGreaterThan(TOTAL * 0.08);
  });

  test("delays by as much as it says", () => {
    const { came } = arrivals({ delayMs: 50, jitterMs: 10 });
    const delays = came.map(({ afterMs }) => afterMs);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(50);
    expect(Math.max(...delays)).toBeGreaterThan(59);
    expect(Math.max(...delays)).toBeLessThan(60);
  });

  test("carries so many bytes a second and drops what finds the queue full", () => {
    // 100 bytes each millisecond, on a path for half of that.
    const { sky, came } = arrivals({ bytesPerSecond: 50_000, queueBytes: 10_000 }, 1, 1);
    expect(sky.counts.queueFull).toBeGreaterThan(TOTAL * 0.45);
    expect(sky.counts.queueFull).toBeLessThan(TOTAL * 0.55);
    // A full queue takes 200 ms.
    expect(Math.max(...came.map(({ afterMs }) => afterMs))).toBeGreaterThan(190);
    expect(Math.max(...came.map(({ afterMs }) => afterMs))).toBeLessThanOrEqual(200);
  });

  test("is out for as many datagrams as it says", () => {
    const { sky, numbers } = arrivals({ outage: 40 });
    expect(sky.counts.lost).toBe(40);
    expect(numbers[0]).toBe(40);
    expect(numbers).toHaveLength(TOTAL - 40);
  });

  test("swallows datagrams above its MTU without a word", () => {
    const sky = new Sky({ maxBytes: 1252 }, seededRandom(1));
    expect(sky.pass(new Uint8Array(1252), 0)).toHaveLength(1);
    expect(sky.pass(new Uint8Array(1253), 0)).toHaveLength(0);
    expect(sky.counts.oversized).toBe(1);
  });
});
