import { describe, expect, it } from "vitest";
import { goalsUnmeasured, reaches, resultOf, type Result } from "../src/report.ts";
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

interface Over {
  readonly peers?: readonly string[];
  readonly quick?: boolean;
  readonly bound?: number;
  /** `slow` fails at the row from this repetition on. */
  readonly fails?: { readonly work: string; readonly rep: number };
}

async function result(over: Over = {}): Promise<Result> {
  const figure = (work: string, system: string, rep: number): Sample => {
    if (system === "slow" && work === over.fails?.work && rep >= over.fails.rep) throw new Error("slow fell over");
    const value = FIGURES[`${work} ${system}`]?.[rep - 1] ?? Number.NaN;
    return work === "latency" ? { value, extra: { p99: value * 10 } } : { value };
  };
  const { suite } = fakeSuite(figure);
  const rows = [{ ...LATENCY, ...(over.bound !== undefined && { bound: over.bound }) }, THROUGHPUT];
  const peers = over.peers ?? ["slow", "fast"];
  const signal = new AbortController().signal;
  const found = await runSuite(suite, {
    reps: 3,
    plan: PLAN,
    rows,
    peers,
    profileDir: null,
    settings: {},
    onSample: () => {},
    onFailure: () => {},
    note: () => {},
    signal,
  });
  const machine = { node: "24.21.0", os: "linux x64", cores: 2 };
  return resultOf(suite, found, {
    rows,
    peers,
    reps: 3,
    rounds: 1,
    quick: over.quick ?? false,
    settings: { size: 9 },
    machine,
  });
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
      bound: null,
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

  it("holds ours to a bound of its own, with or without peers", async () => {
    expect((await result({ bound: 50 })).rows[0]).toMatchObject({ bound: 50, met: true });
    expect((await result({ bound: 49 })).rows[0]).toMatchObject({ bound: 49, met: false });
    expect((await result({ bound: 49, peers: [] })).rows[0]).toMatchObject({ met: false, goal: {} });
    expect((await result({ bound: 50, peers: [] })).rows[0]).toMatchObject({ met: true });
  });

  it("leaves out a peer that failed, judges nothing by it, and says so", async () => {
    const failed = await result({ fails: { work: "latency", rep: 1 } });
    expect(failed.rows[0]).toMatchObject({ peers: { fast: 25 }, goal: {}, met: null });
    expect(failed.failures).toEqual([{ work: "latency", system: "slow", rep: 1, message: "slow fell over" }]);
    const { suite } = fakeSuite(() => ({ value: 1 }));
    expect(goalsUnmeasured(suite, failed)).toEqual(failed.failures);
    expect(formatTable(failed)).toMatch(/slow +FAILED: slow fell over/);
  });

  it("keeps the samples that a peer gave before it failed", async () => {
    const failed = await result({ fails: { work: "latency", rep: 3 } });
    expect(failed.rows[0]).toMatchObject({ peers: { slow: 150, fast: 25 }, goal: { slow: 0.5 }, met: true });
    const { suite } = fakeSuite(() => ({ value: 1 }));
    expect(goalsUnmeasured(suite, failed)).toEqual([]);
    expect(formatTable(failed)).toMatch(/slow +failed in repetition 3, figures before it: slow fell over/);
  });

  it("is not made without figures of ours", () => {
    const { suite } = fakeSuite(() => ({ value: 1 }));
    const machine = { node: "24.21.0", os: "linux x64", cores: 2 };
    const run = { rows: [LATENCY], peers: ["slow"], reps: 1, rounds: 1, quick: false, settings: {}, machine };
    const samples = new Map([["latency", new Map([["slow", [{ value: 1 }]]])]]);
    expect(() => resultOf(suite, { samples, failures: [] }, run)).toThrow("latency: ours was not measured");
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
    const text = formatTable(await result({ bound: 49 }));
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toContain("size: 9");
    expect(text).toMatch(/latency, µs: lower is better\n +median +range +p99\n/);
    expect(text).toMatch(/ours +50 +40-90 +500 +MISSED <=49\n/);
    expect(text).toMatch(/slow +200 +100-300 +2000 +0\.25x ok <=0\.5\n/);
    expect(text).toMatch(/fast +25 +20-30 +250 +2\.00x\n/);
    expect(text).toMatch(/throughput, req\/s: higher is better\n.*\n +ours.*\n +slow.* 1\.90x MISSED >=2\n/);
    expect(text).toContain("0 of 2 rows reach their goals. Missed:\n  latency, throughput");
    expect(text).not.toContain("quick");
  });

  it("says that a quick run is no figure to quote", async () => {
    expect(formatTable(await result({ quick: true }))).toContain("A quick run");
  });
});
