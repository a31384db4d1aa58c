import { expect, test } from "vitest";
import { judge } from "./judge.ts";
import { burn } from "./planted/burn.ts";
import type { PureTarget } from "./target.ts";

/** Has its readers read the input one after the other, each for so long. */
function targetOf(...readersMs: readonly number[]): PureTarget {
  const readers = readersMs.map((ms) => () => burn(ms));
  return {
    maxBytes: 1,
    seeds: () => [],
    mutate: (_random, input) => input,
    run: () => readers.forEach((read) => read()),
    readers,
  };
}

test("an input is slow where one reader takes long over it, not where many take a little", async () => {
  expect(await judge(targetOf(20, 20, 20), new Uint8Array())).toBeUndefined();
  expect((await judge(targetOf(1, 60), new Uint8Array()))?.kind).toBe("slow");
});
