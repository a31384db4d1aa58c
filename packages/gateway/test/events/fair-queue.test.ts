import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue } from "../../src/events/fair-queue.ts";

/** Lets each piece of work take as long as the test wants. */
function slowStore() {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const work = (name: string) => () => {
    begun.push(name);
    return new Promise<string>((resolve) => ends.push(() => resolve(name)));
  };
  /** End the oldest piece under way, and let what follows from that happen. */
  const endOne = async (): Promise<void> => {
    ends.shift()?.();
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  };
  return { begun, work, endOne };
}

/** How many pieces of a flood begin before the one piece of somebody else who comes while it is under way. */
async function beganBefore(flood: number): Promise<number> {
  const queue = new FairQueue({ maxWeight: 4, quantum: 2 });
  const store = slowStore();
  for (let piece = 0; piece < flood; piece++) void queue.run("loud", 1, store.work("loud"));
  void queue.run("quiet", 1, store.work("quiet"));
  while (!store.begun.includes("quiet")) await store.endOne();
  return store.begun.indexOf("quiet");
}

test("what a quiet node waits for does not grow with what a flooding one has waiting", async () => {
  const few = await beganBefore(10);
  expect(few).toBeLessThanOrEqual(6);
  expect(await beganBefore(1000)).toBe(few);
});

test("nobody is passed over: of several floods each gets its share, by weight", async () => {
  const queue = new FairQueue({ maxWeight: 1, quantum: 6 });
  const store = slowStore();
  for (let piece = 0; piece < 60; piece++) {
    void queue.run("light", 1, store.work("light"));
    void queue.run("heavy", 3, store.work("heavy"));
  }
  for (let turn = 0; turn < 40; turn++) await store.endOne();
  const weightOf = (name: string, weight: number) => store.begun.filter((begun) => begun === name).length * weight;
  expect(Math.abs(weightOf("light", 1) - weightOf("heavy", 3))).toBeLessThanOrEqual(6);
});

test("work of one key begins in its order, all of it begins once, and no more than there is room for is under way", async () => {
  const piece = fc.record({ key: fc.constantFrom("a", "b", "c"), weight: fc.integer({ min: 1, max: 9 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (pieces, maxWeight, quantum) => {
        const queue = new FairQueue({ maxWeight, quantum });
        const begun: { key: string; index: number }[] = [];
        let under = 0;
        const done = pieces.map(({ key, weight }, index) =>
          queue.run(key, weight, async () => {
            // One piece may always begin, so that a large one gets its turn.
            expect(under).toBeLessThan(maxWeight);
            under += weight;
            begun.push({ key, index });
            await Promise.resolve();
            under -= weight;
          }),
        );
        await Promise.all(done);
        expect(queue.waiting).toBe(0);
        for (const key of ["a", "b", "c"]) {
          const order = begun.filter((one) => one.key === key).map(({ index }) => index);
          expect(order).toEqual(pieces.flatMap((one, index) => (one.key === key ? [index] : [])));
        }
      },
    ),
  );
});

test("work that fails makes room, and fails its caller alone", async () => {
  const queue = new FairQueue({ maxWeight: 1, quantum: 1 });
  const failed = queue.run("a", 1, () => Promise.reject(new Error("full")));
  const after = queue.run("a", 1, () => Promise.resolve("next"));
  await expect(failed).rejects.toThrow("full");
  expect(await after).toBe("next");
});
