import * as fc from "fast-check";
import { expect, test } from "vitest";
import { packPage, unpackPage } from "../../src/store/sqlite/packed-page.ts";

const epochs = [new Uint8Array(16), new Uint8Array(16).fill(1)];
const event = fc.record({
  offset: fc.maxSafeNat(),
  deviceId: fc.constantFrom("01JD0000000000000000000000", "01JD0000000000000000000001"),
  // The same bytes in another array too, as they come from disk.
  outboxEpoch: fc.constantFrom(...epochs).chain((epoch) => fc.constantFrom(epoch, epoch.slice())),
  seq: fc.maxSafeNat(),
  kind: fc.string({ maxLength: 8 }),
  time: fc.maxSafeNat(),
  received: fc.maxSafeNat(),
  data: fc.uint8Array({ maxLength: 40 }),
});

test("a page comes out as it went in, through a move of its buffers", () => {
  const page = fc.record({
    events: fc.array(event, { maxLength: 30 }),
    scannedTo: fc.maxSafeNat(),
    earliest: fc.maxSafeNat(),
    latest: fc.maxSafeNat(),
  });
  fc.assert(
    fc.property(page, (input) => {
      const { page: packed, transfer } = packPage(input);
      expect(unpackPage(structuredClone(packed, { transfer: [...transfer] }))).toEqual(input);
    }),
  );
});
