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

  it("narrows rows and peers", () => {
    expect(parse("fake --only latency --peers fast")).toMatchObject({ rows: [LATENCY], peers: ["fast"] });
    expect(parse("fake --peers none")).toMatchObject({ peers: [] });
  });

  it.each([
    ["--json", "name a suite: fake"],
    ["other", "no suite other; there is fake"],
    ["fake more", "one suite at a time, not also more"],
    ["fake --only nothing", "--only takes latency, throughput; not nothing"],
    ["fake --peers grpc", "--peers takes slow, fast; not grpc"],
    ["fake --reps 0", "--reps takes 1 to 99, not 0"],
    ["fake --reps 1.5", "--reps takes 1 to 99, not 1.5"],
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
