import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_FRAME_BYTES, zstdFrameFault } from "@quaymesh/protocol";
import { fromHex, readVectors } from "./vectors.ts";

interface Vector {
  readonly name: string;
  readonly bytes: number;
  readonly packed: string;
}
const { unpacked, refused } = readVectors("packed.json") as {
  readonly unpacked: readonly Vector[];
  readonly refused: readonly Vector[];
};

const faultOf = ({ packed, bytes }: Vector) =>
  zstdFrameFault(fromHex(packed), { bytes, maxWindowBytes: MAX_FRAME_BYTES });

/** What the frame's headers give away; the rest shows only when it is decompressed. */
const TOLD_BY_HEADERS = new Map([
  ["8 MiB that say so", "gives another length than the message"],
  ["a content size below what the message says", "gives another length than the message"],
  ["a content size above what the message says", "gives another length than the message"],
  ["two frames", "is not one frame and nothing else"],
  ["two frames that give the length together", "gives another length than the message"],
  ["two frames without their content sizes", "is not one frame and nothing else"],
  ["a byte behind the frame", "is not one frame and nothing else"],
  ["a frame to be skipped behind it", "is not one frame and nothing else"],
  ["a frame to be skipped in front of it", "no zstd frame"],
  ["a frame that needs the dictionary 7", "needs a dictionary"],
  ["a window of 1 MiB", "needs too large a window"],
  ["a reserved bit", "uses what is reserved"],
  ["a frame without its end", "is cut short"],
  ["a frame of which the header alone is there", "is cut short"],
  ["a frame without a block", "gives another length than the message"],
  ["a checksum that is missing", "is not one frame and nothing else"],
  ["a block of a reserved kind", "is cut short"],
  ["gzip", "no zstd frame"],
  ["what is not packed", "no zstd frame"],
]);

test.each(unpacked)("$name is one frame", (vector) => {
  expect(faultOf(vector)).toBeUndefined();
});

test.each(refused)("$name is judged by its headers where they tell", (vector) => {
  expect(faultOf(vector)).toBe(TOLD_BY_HEADERS.get(vector.name));
});

test("a frame that was cut or changed anywhere is judged, and no two frames pass as one", () => {
  const frames = unpacked.map(({ packed, bytes }) => ({ packed: fromHex(packed), bytes }));
  const limits = (bytes: number) => ({ bytes, maxWindowBytes: MAX_FRAME_BYTES });
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 9 }),
      (frame, at, tail) => {
        const { packed, bytes } = frame;
        expect(zstdFrameFault(packed.subarray(0, at % packed.length), limits(bytes))).toBeDefined();
        expect(zstdFrameFault(Uint8Array.of(...packed, ...tail), limits(bytes))).toBeDefined();
        const changed = packed.slice();
        changed[at % changed.length] = tail[0] ?? 0;
        zstdFrameFault(changed, limits(bytes));
      },
    ),
  );
});
