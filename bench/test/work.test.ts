import { describe, expect, it } from "vitest";
import type { BenchClient, Sink } from "../src/transport/systems/system.ts";
import { openCell } from "../src/transport/work.ts";

/** Long enough that a stall of a busy machine does not end a run before all of its workers began. */
const RUN_MS = 150;

/** A system without a network that notes how it is used. */
function fakeSystem(loses = 0) {
  const seen = { dials: 0, open: 0, mostOpen: 0, inFlight: 0, mostInFlight: 0, written: 0, writes: 0 };
  const sink = (count: (bytes: Uint8Array) => number): Sink => ({
    write: (bytes) => {
      seen.written += count(bytes);
      seen.writes++;
      // Every third write finds the buffer full.
      return seen.writes % 3 === 0 ? Promise.resolve() : undefined;
    },
    finish: async () => seen.written - loses,
  });
  const dial = async (): Promise<BenchClient> => {
    seen.dials++;
    seen.mostOpen = Math.max(seen.mostOpen, ++seen.open);
    return {
      unary: async () => {
        seen.mostInFlight = Math.max(seen.mostInFlight, ++seen.inFlight);
        await new Promise(setImmediate);
        seen.inFlight--;
      },
      openEvents: async () => sink(() => 1),
      openBulk: async () => sink((bytes) => bytes.length),
      [Symbol.asyncDispose]: async () => {
        seen.open--;
      },
    };
  };
  return { seen, dial };
}

describe("a cell", () => {
  it.each(["unary-1", "unary-64", "events", "bulk", "bulk-1350"] as const)(
    "of %s warms up and measures on one connection, and closes it",
    async (work) => {
      const { seen, dial } = fakeSystem();
      const cell = await openCell(work, dial);
      await cell.run(RUN_MS);
      seen.written = 0;
      const { value, operations } = await cell.run(RUN_MS);
      expect(value).toBeGreaterThan(0);
      expect(operations).toBeGreaterThan(0);
      await cell[Symbol.asyncDispose]();
      expect(seen).toMatchObject({ dials: 1, open: 0 });
    },
  );

  it.each([
    ["unary-1", 1],
    ["unary-64", 64],
  ] as const)("of %s keeps %i under way", async (work, wanted) => {
    const { seen, dial } = fakeSystem();
    await using cell = await openCell(work, dial);
    await cell.run(RUN_MS);
    expect(seen.mostInFlight).toBe(wanted);
  });

  it("of handshakes dials 32 at once, and counts a connection by its first answer", async () => {
    const { seen, dial } = fakeSystem();
    await using cell = await openCell("handshakes", dial);
    const { operations } = await cell.run(RUN_MS);
    expect(seen).toMatchObject({ mostInFlight: 32, open: 0, dials: operations });
  });

  it("of bulk counts megabytes", async () => {
    const { seen, dial } = fakeSystem();
    await using cell = await openCell("bulk", dial);
    const { operations } = await cell.run(RUN_MS);
    expect(operations).toBeCloseTo(seen.written / 1e6, 6);
  });

  it.each(["events", "bulk"] as const)("of %s fails when the server counted less than was sent", async (work) => {
    const { dial } = fakeSystem(1);
    await using cell = await openCell(work, dial);
    await expect(cell.run(RUN_MS)).rejects.toThrow(/sent \d+, but the server counted \d+/);
  });
});
