import { describe, expect, it } from "vitest";
import { parseOptions, usage, UsageError } from "../src/options.ts";
import { SUITES } from "../src/suites.ts";
import { fakeSuite, LATENCY } from "./fake-suite.ts";

const { suite } = fakeSuite(() => ({ value: 1 }));
const parse = (line: string) => parseOptions(line.split(" "), [suite]);

describe("the command line", () => {
  it("measures every row beside every peer three times, unless told otherwise", () => {
    expect(parse("fake")).toMatchObject({
      reps: 3,
      json: false,
      quick: false,
      peers: ["slow", "fast"],
      rows: suite.rows,
    });
    expect(parse("fake --quick")).toMatchObject({ reps: 1, quick: true });
    expect(parse("fake --quick --reps 5 --json")).toMatchObject({ reps: 5, json: true });
  });

  it("takes slow peers when they are named, or all of them", () => {
    expect(parse("fake --peers slow,odd")).toMatchObject({ peers: ["slow", "odd"] });
    expect(parse("fake --peers all")).toMatchObject({ peers: ["slow", "fast", "odd"] });
  });

  it("takes a suite's own numbers", () => {
    expect(parse("fake")).toMatchObject({ settings: { size: 100 } });
    expect(parse("fake --quick")).toMatchObject({ settings: { size: 10 } });
    expect(parse("fake --quick --size 1000")).toMatchObject({ settings: { size: 1000 } });
  });

  it("refuses a number of another suite", () => {
    const other = { ...suite, name: "other", settings: [] };
    expect(() => parseOptions(["other", "--size", "5"], [suite, other])).toThrow("--size is not for other");
  });

  it("narrows rows and peers", () => {
    expect(parse("fake --only latency --peers fast")).toMatchObject({ rows: [LATENCY], peers: ["fast"] });
    expect(parse("fake --peers none")).toMatchObject({ peers: [] });
  });

  it.each([
    ["--json", "name a suite: fake"],
    ["other", "no suite other; there is fake"],
    ["fake more", "one suite at a time, not also more"],
    ["fake --only nothing", "--only takes latency, throughput; not nothing"],
    ["fake --peers grpc", "--peers takes slow, fast, odd; not grpc"],
    ["fake --reps 0", "--reps takes 1 to 99, not 0"],
    ["fake --reps 1.5", "--reps takes 1 to 99, not 1.5"],
    ["fake --size 1", "--size takes 2 to 1000, not 1"],
    ["fake --size many", "--size takes 2 to 1000, not many"],
    ["fake --colour", "--colour"],
  ])("refuses %s and says why", (line, message) => {
    expect(() => parse(line)).toThrow(UsageError);
    expect(() => parse(line)).toThrow(message);
  });

  it("explains every suite and row within 80 columns", () => {
    expect(parse("--help")).toBeNull();
    const text = usage(SUITES);
    for (const row of SUITES.flatMap(({ rows }) => rows)) expect(text).toContain(row.work);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});
