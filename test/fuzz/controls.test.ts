/** Bugs planted on purpose: what finds nothing proves nothing until it is seen to find something. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fuzz } from "./run-fuzz.ts";

const control = (name: string, ...argv: readonly string[]) =>
  fuzz("planted/main.ts", name, "--json", "--dry-run", "--seed", "1", ...argv);

test("an error that nobody meant to throw is found, shrunk, and kept under a name", async () => {
  const corpus = await mkdtemp(join(tmpdir(), "quaymesh-fuzz-"));
  try {
    const ran = await fuzz(
      "planted/main.ts",
      "throws",
      "--json",
      "--inputs",
      "1000",
      "--seed",
      "1",
      "--corpus",
      corpus,
    );
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
});

test.each([
  ["takes 60 ms of CPU", "dawdles", "slow"],
  ["never comes back", "hangs", "hung"],
  ["leaves memory behind", "hoards", "memory"],
])("an input that %s is found", async (_what, name, kind) => {
  const { code, outcomes } = await control(name, "--inputs", "1000", "--seconds", "10");
  expect({ code, findings: outcomes[0]?.findings }).toMatchObject({ code: 1, findings: [{ kind }] });
});

test("what lies behind five right bytes is found through what reaches new code, and not without", async () => {
  const inputs = ["--seconds", "25", "--inputs", "150000"];
  const guided = await control("hides", ...inputs);
  const blind = await control("hides", "--blind", ...inputs);
  expect(guided.outcomes[0]?.findings).toMatchObject([{ message: expect.stringContaining("the secret door") }]);
  expect(blind.outcomes[0]?.findings).toEqual([]);
});
