/** Gateways with a planted bug: what the datagram fuzzer finds when there is something to find. */
import { expect, test } from "vitest";
import { fuzz } from "./run-fuzz.ts";

test.concurrent.each([
  ["dies", "died"],
  ["goes-deaf", "disturbed"],
  ["stalls", "disturbed"],
  ["blocks", "slow"],
])("a gateway that %s at a datagram is found", { timeout: 60_000 }, async (bug, kind) => {
  const { code, outcomes } = await fuzz(
    "planted/main.ts",
    bug,
    "--seconds",
    "20",
    "--json",
    "--dry-run",
    "--seed",
    "1",
  );
  expect(code).toBe(1);
  expect(outcomes[0]?.findings.map((finding) => finding.kind)).toContain(kind);
});
