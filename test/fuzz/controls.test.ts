/** Bugs planted on purpose: what finds nothing proves nothing until it is seen to find something. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fuzz } from "./run-fuzz.ts";

/** Numbers of inputs, not seconds, end these runs: a busy machine finds as much, only later. */
const PATIENCE = ["--seconds", "200"];

/** Five processes at once, on cores that other tests use. */
const TIMEOUT_MS = 240_000;

/** An array of two is among so many inputs with any seed. */
const ENOUGH = 3000;

const control = (name: string, seed: number, inputs: number, ...argv: readonly string[]) =>
  fuzz(
    "planted/main.ts",
    name,
    "--json",
    "--dry-run",
    ...PATIENCE,
    "--seed",
    `${seed}`,
    "--inputs",
    `${inputs}`,
    ...argv,
  );

test.concurrent(
  "an error that nobody meant to throw is found, shrunk, and kept under a name",
  { timeout: TIMEOUT_MS },
  async () => {
    const corpus = await mkdtemp(join(tmpdir(), "quaymesh-fuzz-"));
    try {
      const ran = await fuzz("planted/main.ts", "throws", "--json", "--inputs", `${ENOUGH}`, "--corpus", corpus);
      expect(ran.code).toBe(1);
      expect(ran.outcomes[0]?.findings).toMatchObject([{ kind: "threw", message: expect.stringContaining("planted") }]);
      const found = (await readdir(join(corpus, "throws"))).filter((name) => name.startsWith("finding-threw-"));
      expect(found).toHaveLength(1);
      // From then on it is found before anything random is made.
      const again = await fuzz("planted/main.ts", "throws", "--json", "--inputs", "0", "--dry-run", "--corpus", corpus);
      expect(again).toMatchObject({ code: 1, outcomes: [{ inputs: 0, findings: [{ kind: "threw" }] }] });
    } finally {
      await rm(corpus, { recursive: true });
    }
  },
);

test.concurrent.each([
  ["takes 60 ms of CPU", "dawdles", "slow"],
  ["never comes back", "hangs", "hung"],
  ["leaves memory behind", "hoards", "memory"],
] as const)("an input that %s is found", { timeout: TIMEOUT_MS }, async (_what, name, kind) => {
  const { code, outcomes } = await control(name, 1, ENOUGH);
  expect({ code, findings: outcomes[0]?.findings }).toMatchObject({ code: 1, findings: [{ kind }] });
});

test.concurrent(
  "what lies behind five right bytes is found through what reaches new code, and not without",
  { timeout: TIMEOUT_MS },
  async () => {
    const guided = await control("hides", 1, 60_000);
    const blind = await control("hides", 1, 60_000, "--blind");
    expect(guided.outcomes[0]?.findings).toMatchObject([{ message: expect.stringContaining("the secret door") }]);
    expect(blind.outcomes[0]).toMatchObject({ inputs: 60_000, findings: [] });
  },
);
