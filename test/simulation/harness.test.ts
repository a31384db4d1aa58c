import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { queryObjects } from "node:v8";
import { expect, test } from "vitest";
import { CONTROLS } from "./controls.ts";
import { hunt } from "./hunt.ts";
import { runPlan } from "./run.ts";
import { planOf } from "./scenarios/index.ts";
import { World } from "./world.ts";

/** `npm run simulate`, as people run it. */
async function simulate(...argv: readonly string[]) {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", main, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  return { code, stdout, stderr };
}

test.each(["events", "sessions", "tasks", "pairing"] as const)(
  "a seed of %s is the same simulation every time, and another one is another",
  async (scenario) => {
    const seeds = [3, 11, 17, 147];
    const first = [];
    const second = [];
    for (const seed of seeds) first.push(await runPlan(planOf(scenario, seed)));
    for (const seed of seeds.toReversed()) second.unshift(await runPlan(planOf(scenario, seed)));
    expect(second).toEqual(first);
    expect(new Set(first.map(({ steps }) => steps)).size).toBe(seeds.length);
  },
);

test("of a simulation that is over nothing is left in memory, whoever was killed in it", async () => {
  for (const seed of [1, 2, 3, 4]) await runPlan(planOf("events", seed));
  // Counted after a full collection; the last one may still be on its way out.
  expect(queryObjects(World, { format: "count" })).toBeLessThanOrEqual(1);
});

test("a failing seed fails in the same way every time, alone as well", async () => {
  const { broken } = CONTROLS["ack-before-commit"];
  const { findings } = await hunt({ scenario: "events", from: 1, seeds: 100, broken, most: 1 });
  const seed = Number(findings[0]?.from);
  const once = await runPlan(planOf("events", seed), broken);
  expect(once.violation?.rule).toBe(findings[0]?.rule);
  expect(await runPlan(planOf("events", seed), broken)).toEqual(once);
});

test("a run that comes right says so within a screen and ends with 0", async () => {
  const { code, stdout } = await simulate("--scenario", "events", "--seeds", "5");
  expect({ code, right: stdout.includes("everything came right") }).toEqual({ code: 0, right: true });
  const lines = stdout.trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(24);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
});

test("a broken product ends with 1, the seed, and what it takes; nothing is kept of a control", async () => {
  const examples = await mkdtemp(join(tmpdir(), "quaymesh-simulate-"));
  try {
    const { code, stdout } = await simulate(
      "--control",
      "no-dedupe",
      "--seeds",
      "200",
      "--json",
      "--examples",
      examples,
    );
    expect(code).toBe(1);
    const { findings } = JSON.parse(stdout);
    expect(findings).toMatchObject([{ rule: "exactly-once", plan: { scenario: "events" } }]);
    expect(await readdir(examples)).toEqual([]);
  } finally {
    await rm(examples, { recursive: true });
  }
});

test("what is no option, number, scenario or control ends with 2 and says what is", async () => {
  const asked = await Promise.all([
    simulate("--sedes", "5"),
    simulate("--seeds", "many"),
    simulate("--scenario", "weather"),
    simulate("--control", "nothing"),
  ]);
  expect(asked.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  expect(asked[2]?.stderr).toContain("there is events");
  const { code, stdout } = await simulate("--help");
  expect(code).toBe(0);
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
});
