import { randomBytes } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import { encodeCbor, encodeValue, type EventBatch } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { afterBatch, isSmaller, isWorthPacking, NEW_PACKING, tryPack, type Packing } from "../src/events/packing.ts";

const sentAll = (from: Packing, batches: readonly Parameters<typeof afterBatch>[1][]): Packing =>
  batches.reduce((packing, batch) => afterBatch(packing, batch), from);
/** As a link that carries less than is sent shows itself. */
const slow = (): Packing => sentAll(NEW_PACKING, times(4, { waited: true }));
const times = <T>(count: number, value: T): readonly T[] => Array.from({ length: count }, () => value);

/** Batches until one is packed again. */
function pauseOf(from: Packing): number {
  let packing = from;
  let plain = 0;
  while (!isWorthPacking(packing, 4096)) {
    packing = afterBatch(packing, { waited: true });
    plain += 1;
  }
  return plain;
}

test("nothing is packed before four writes in a row had to wait, and no small batch after", () => {
  expect(isWorthPacking(NEW_PACKING, 1 << 18)).toBe(false);
  expect(isWorthPacking(sentAll(NEW_PACKING, times(100, { waited: false })), 1 << 18)).toBe(false);
  // A gateway that is busy at times makes a write wait too.
  const busy = times(30, [...times(3, { waited: true }), { waited: false }]).flat();
  expect(isWorthPacking(sentAll(NEW_PACKING, busy), 1 << 18)).toBe(false);
  const waited = slow();
  expect(isWorthPacking(waited, 2048)).toBe(true);
  expect(isWorthPacking(waited, 2047)).toBe(false);
});

test("a link that what is packed fits through is taken for slow a while longer, and then asked again", () => {
  const waited = slow();
  expect(isWorthPacking(sentAll(waited, times(31, { ratio: 0.3, waited: false })), 4096)).toBe(true);
  expect(isWorthPacking(sentAll(waited, times(32, { ratio: 0.3, waited: false })), 4096)).toBe(false);
});

test("what does not shrink is tried again after longer and longer pauses, until something does", () => {
  let packing = slow();
  const pauses: number[] = [];
  for (let tries = 0; tries < 7; tries++) {
    packing = afterBatch(packing, { ratio: 0.95, waited: true });
    pauses.push(pauseOf(packing));
    packing = sentAll(packing, times(pauses.at(-1) ?? 0, { waited: true }));
  }
  expect(pauses).toEqual([8, 16, 32, 64, 128, 256, 256]);
  packing = sentAll(packing, [
    { ratio: 0.9, waited: true },
    { ratio: 0.91, waited: true },
  ]);
  expect(pauseOf(packing)).toBe(8);
});

const batchOf = (data: Uint8Array): EventBatch => ({
  type: "batch",
  first: 1,
  events: [{ kind: "test.tick", time: 1, data: encodeValue(data) }],
});

test("what is packed gives the body of the batch again, and what is random is not sent packed", () => {
  const waited = slow();
  const text = batchOf(Buffer.from("the same over and over ".repeat(200)));
  const tried = tryPack(waited, text);
  if (tried === undefined) throw new Error("it was not tried");
  const body = encodeCbor(text);
  expect(tried.packed).toMatchObject({ type: "batch.packed", encoding: "zstd", bytes: body.length });
  expect(isSmaller(tried.ratio)).toBe(true);
  expect(new Uint8Array(zstdDecompressSync(tried.packed.packed))).toEqual(new Uint8Array(body));
  expect(isSmaller(tryPack(waited, batchOf(randomBytes(4096)))?.ratio ?? 0)).toBe(false);
  expect(tryPack(NEW_PACKING, text)).toBeUndefined();
  expect(tryPack(waited, batchOf(Buffer.from("a few")))).toBeUndefined();
});
