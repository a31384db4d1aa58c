import { describe, expect, it } from "vitest";
import { benchResult, RUN_MS } from "./cli.ts";

describe("npm run bench -- sessions", () => {
  it(
    "measures ours, ws and a whole gateway with the sessions it was told",
    async () => {
      const { rows, settings, failures } = await benchResult("sessions", "--quick", "--sessions", "120");
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
