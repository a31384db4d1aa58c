import { describe, expect, it } from "vitest";
import { benchResult, RUN_MS } from "./cli.ts";

describe("npm run bench -- identity", () => {
  it(
    "revokes beside live sessions, over QUIC and without, turns redials away, and pairs",
    async () => {
      const { rows, settings, failures } = await benchResult("identity", "--quick");
      expect(settings).toEqual({ sessions: 20, times: 5, pairings: 2 });
      expect(failures).toEqual([]);
      expect(rows.map(({ work, bound }) => [work, bound])).toEqual([
        ["revoke", 10],
        ["revoke-core", 10],
        ["refused", null],
        ["pair", 1000],
      ]);
      for (const row of rows) expect(row.ours).toBeGreaterThan(0);
    },
    RUN_MS,
  );
});
