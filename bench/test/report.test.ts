import { describe, expect, it } from "vitest";
import { reaches, resultOf, type Result } from "../src/report.ts";
import { runSuite } from "../src/run.ts";
import { formatTable } from "../src/table.ts";
import type { Sample } from "../src/suite.ts";
import { fakeSuite, LATENCY, PLAN, THROUGHPUT } from "./fake-suite.ts";

const FIGURES: Readonly<Record<string, readonly number[]>> = {
  "latency ours": [40, 50, 90],
  "latency slow": [100, 200, 300],
  "latency fast": [25, 20, 30],
  "throughput ours": [100, 190, 200],
  "throughput slow": [100, 100, 100],
};

async function result(over: { readonly peers?: readonly string[]; readonly quick?: boolean } = {}): Promise<Result> {
  const figure = (work: string, system: string, rep: number): Sample => {
    const value = FIGURES[`${work} ${system}`]?.[rep - 1] ?? Number.NaN;
    return work === "latency" ? { value, extra: { p99: value * 10 } } : { value };
  };
  const { suite } = fakeSuite(figure);
  const rows = [LATENCY, THROUGHPUT];
  const peers = over.peers ?? ["slow", "fast"];
  const signal = new AbortController().signal;
  const samples = await runSuite(suite, {
    reps: 3,
    plan: PLAN,
    rows,
    peers,
    profileDir: null,
    onSample: () => {},
    signal,
  });
  const machine = { node: "24.21.0", os: "linux x64", cores: 2 };
  return resultOf(suite, samples, { rows, peers, reps: 3, rounds: 1, quick: over.quick ?? false, machine });
}

describe("a result", () => {
  it("has medians, ratios of ours to the peer, ranges, and goals only where there are some", async () => {
    const [latency] = (await result()).rows;
    expect(latency).toEqual({
      work: "latency",
      unit: "µs",
      better: "lower",
      ours: 50,
      peers: { slow: 200, fast: 25 },
      ratios: { slow: 0.25, fast: 2 },
      goal: { slow: 0.5 },
      met: true,
      ranges: { ours: [40, 90], slow: [100, 300], fast: [20, 30] },
      ratioRanges: { slow: [0.25, 0.4], fast: [1.6, 3] },
      extra: { p99: { ours: 500, slow: 2000, fast: 250 } },
    });
  });

  it("misses a goal of a row where more is better when the ratio is below it", async () => {
    const [, throughput] = (await result()).rows;
    expect(throughput).toMatchObject({ ratios: { slow: 1.9 }, goal: { slow: 2 }, met: false });
  });

  it("judges no row whose goals were not measured", async () => {
    const { rows } = await result({ peers: ["fast"] });
    expect(rows.map(({ met, goal, ratios }) => ({ met, goal, ratios }))).toEqual([
      { met: null, goal: {}, ratios: { fast: 2 } },
      { met: null, goal: {}, ratios: {} },
    ]);
  });

  it("refuses to be made of fewer cells than it shows", () => {
    const { suite } = fakeSuite(() => ({ value: 1 }));
    const machine = { node: "24.21.0", os: "linux x64", cores: 2 };
    const run = { rows: [LATENCY], peers: ["slow"], reps: 1, rounds: 1, quick: false, machine };
    const samples = new Map([["latency", new Map([["ours", [{ value: 1 }]]])]]);
    expect(() => resultOf(suite, samples, run)).toThrow("latency: slow was not measured");
  });

  it("reaches a goal on the goal itself, in the direction that is better", () => {
    expect(reaches({ better: "lower" }, 0.4, 0.4)).toBe(true);
    expect(reaches({ better: "lower" }, 0.41, 0.4)).toBe(false);
    expect(reaches({ better: "higher" }, 3, 3)).toBe(true);
    expect(reaches({ better: "higher" }, 2.99, 3)).toBe(false);
    expect(reaches({ better: "higher" }, Number.NaN, 3)).toBe(false);
  });
});

describe("a table", () => {
  it("fits 80 columns and says what was reached and what was missed", async () => {
    const text = formatTable(await result());
    const lines = text.split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toMatch(/latency, µs +50 \(40-90\) +200 \(100-300\) +25 \(20-30\)/);
    expect(text).toMatch(/p99 +500 +2000 +250/);
    expect(text).toMatch(/lower is better +0\.25x ok <=0\.5 +2\.00x\n/);
    expect(text).toMatch(/higher is better +1\.90x MISSED >=2\n/);
    expect(text).toContain("1 of 2 rows reach their goals. Missed:\n  throughput");
    expect(text).not.toContain("quick");
  });

  it("says that a quick run is no figure to quote", async () => {
    expect(formatTable(await result({ quick: true }))).toContain("A quick run");
  });
});
