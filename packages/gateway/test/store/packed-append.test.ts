import * as fc from "fast-check";
import { expect, it } from "vitest";
import type { AppendInput } from "../../src/store/port-events.ts";
import { packJob, unpackJob } from "../../src/store/sqlite/packed-append.ts";

const kind = fc.oneof(fc.constantFrom("a", "b"), fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }));
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const report = fc.record({
  kind: fc.constant("task.progress" as const),
  data: fc.record({ taskId: fc.string(), token: number, fraction: fc.double({ min: 0, max: 1, noNaN: true }) }),
});
const event = fc.record(
  { kind, time: number, data: fc.uint8Array({ maxLength: 40 }), report },
  { requiredKeys: ["kind", "time", "data"] },
);
const batch = fc.record({
  deviceId: fc.string(),
  outboxEpoch: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  first: number,
  events: fc.array(event, { maxLength: 30 }),
  now: number,
});

it("a batch comes out of the other thread as it went in", () => {
  fc.assert(
    fc.property(batch, (value) => {
      const input = value as AppendInput;
      const packed = structuredClone(packJob({ id: 1, unit: "events.append", input }));
      expect(unpackJob(packed)).toEqual({ id: 1, unit: "events.append", input });
    }),
  );
});

it("everything else crosses as it is", () => {
  const job = { id: 1, unit: "events.bounds", input: undefined } as const;
  expect(packJob(job)).toBe(job);
  expect(unpackJob(job)).toBe(job);
});
