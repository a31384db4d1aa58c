import { describe, expect, it } from "vitest";
import { benchResult, RUN_MS } from "./cli.ts";

describe("npm run bench -- churn", () => {
  it(
    "measures what connections and streams leave behind, at both ends",
    async () => {
      const { rows, settings } = await benchResult("churn", "--quick");
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
