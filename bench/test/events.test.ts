import { describe, expect, it } from "vitest";
import { benchResult, RUN_MS } from "./cli.ts";

describe("npm run bench -- events", () => {
  it(
    "measures the way of an event, the store at two sizes, and SQLite beside them",
    async () => {
      const { rows, settings, failures } = await benchResult("events", "--quick", "--log-events", "10000");
      expect(settings).toEqual({ "log-events": 10_000 });
      expect(failures).toEqual([]);
      for (const { work, ours } of rows) expect([work, ours > 0]).toEqual([work, true]);
      const row = (work: string) => rows.find((one) => one.work === work);
      expect(row("durable")).toMatchObject({ goal: { sqlite: 0.5 }, peers: { sqlite: expect.any(Number) } });
      expect(row("latency")).toMatchObject({ bound: 5 });
      expect(row("replay")).toMatchObject({ bound: 200_000 });
      expect(row("growth")).toMatchObject({ bound: 1.25, ratios: {} });
    },
    RUN_MS,
  );
});
