/** The suites of many sessions and of much coming and going, run as users run them, with small numbers. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Result } from "../src/report.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const RUN_MS = 120_000;

async function bench(...args: string[]): Promise<Result> {
  const all = ["-C", "@quaymesh/source", MAIN, ...args, "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: RUN_MS });
  const lines = stdout.trimEnd().split("\n");
  expect(Math.max(...lines.slice(0, -1).map((line) => line.length))).toBeLessThanOrEqual(80);
  return JSON.parse(lines.at(-1) ?? "") as Result;
}

describe("npm run bench -- sessions", () => {
  it(
    "measures ours, ws and a whole gateway with the sessions it was told",
    async () => {
      const { rows, settings, failures } = await bench("sessions", "--quick", "--sessions", "120");
      expect(settings).toEqual({ sessions: 120 });
      expect(failures).toEqual([]);
      const row = (work: string) => rows.find((one) => one.work === work);
      for (const work of ["memory", "gateway-memory"]) {
        expect(row(work)).toMatchObject({ goal: { ws: 0.7 }, extra: { "at 12": { ws: expect.any(Number) } } });
        expect(row(work)?.met).toBeTypeOf("boolean");
      }
      for (const work of ["establish", "active"]) {
        expect(row(work)?.ours).toBeGreaterThan(0);
        expect(row(work)?.peers["ws"]).toBeGreaterThan(0);
      }
      for (const work of ["idle-cpu", "gateway-cpu"]) expect(row(work)).toMatchObject({ bound: 5 });
      expect(row("memory-growth")).toMatchObject({ bound: 1.25, ratios: {} });
    },
    RUN_MS,
  );
});

describe("npm run bench -- churn", () => {
  it(
    "measures what connections and streams leave behind, at both ends",
    async () => {
      const { rows, settings } = await bench("churn", "--quick");
      expect(settings).toEqual({ connections: 400, streams: 4000 });
      expect(rows.map(({ work, bound }) => [work, bound])).toEqual([
        ["connections-server", 250],
        ["connections-client", 250],
        ["streams-server", 20],
        ["streams-client", 20],
      ]);
      for (const row of rows) {
        expect(row.ours).toBeTypeOf("number");
        expect(row.extra["last MB"]?.["ours"]).toBeGreaterThan(10);
      }
    },
    RUN_MS,
  );
});
