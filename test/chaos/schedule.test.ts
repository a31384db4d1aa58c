import { expect, it } from "vitest";
import { Random } from "../simulation/random.ts";
import { drawFaults, FAULT_WINDOW_MS, type Targets } from "./schedule.ts";

const POSTS = ["gateway", "node-0", "node-1", "reader"];
const draw = (seed: number, targets: Targets) => drawFaults(new Random(seed), targets);
const seeds = Array.from({ length: 300 }, (_, seed) => seed);

it("the same seed does the same to the same", () => {
  const targets: Targets = { posts: POSTS, disks: ["gateway", "nodes"] };
  for (const seed of seeds) expect(draw(seed, targets)).toEqual(draw(seed, targets));
});

it("every cycle has a fault, in its window, and each kind and everybody is hit", () => {
  const faults = seeds.flatMap((seed) => draw(seed, { posts: POSTS, disks: ["gateway", "nodes"] }));
  expect(faults.every(({ at }) => at >= 0 && at <= FAULT_WINDOW_MS)).toBe(true);
  expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(["kill", "stop", "fill"]));
  const hit = new Set(faults.flatMap((fault) => (fault.kind === "fill" ? fault.disk : fault.whom)));
  expect(hit).toEqual(new Set([...POSTS, "nodes"]));
});

it("no disk is filled where none can be", () => {
  const faults = seeds.flatMap((seed) => draw(seed, { posts: POSTS, disks: [] }));
  expect(faults.some(({ kind }) => kind === "fill")).toBe(false);
});
