import { onTestFailed } from "vitest";

/** A seeded generator: `next()` is at least 0 and below 1. */
export type Random = () => number;

/** mulberry32: small, and good enough to choose which datagrams are lost. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A fresh seed for the running test, printed where it fails; `QUAYMESH_SEED` gives one of an earlier run. What a network does to the n-th datagram
 * follows from it; which datagram is the n-th depends on timing too.
 */
export function testSeed(): number {
  const seed = Number(process.env["QUAYMESH_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  onTestFailed(() => console.error(`the network's seed was ${seed}: run again with QUAYMESH_SEED=${seed}`));
  return seed;
}
