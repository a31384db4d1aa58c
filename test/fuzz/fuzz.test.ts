/** Every fuzzer over its kept corpus, and for a second more. */
import { expect, test } from "vitest";
import { fuzz } from "./run-fuzz.ts";

const TARGETS = ["datagrams", "frames", "cbor", "messages", "tickets", "csr"];

test("the kept corpus and a second of random input for each target find nothing", { timeout: 60_000 }, async () => {
  const { code, outcomes, stderr } = await fuzz("main.ts", "all", "--seconds", "1", "--json", "--dry-run");
  const findings = outcomes.flatMap((outcome) => outcome.findings);
  // The seed is in there: a finding here can be repeated.
  expect({ code, stderr, findings }).toEqual({ code: 0, stderr, findings: [] });
  expect(outcomes.map(({ target }) => target)).toEqual(TARGETS);
  for (const { target, inputs, replayed } of outcomes) {
    expect(`${target} ${String(inputs > 0)} ${String(replayed > 0)}`).toBe(`${target} true true`);
  }
  // The datagrams did arrive, and the bad device got in.
  expect(outcomes[0]?.figures["deeds"]).toBeGreaterThan(0);
  expect(outcomes[0]?.figures["refused"]).toBeGreaterThan(20);
});

test("the same seed makes the same inputs, another seed others", async () => {
  const digest = async (seed: string): Promise<unknown> => {
    const { outcomes } = await fuzz("main.ts", "cbor", "--json", "--dry-run", "--inputs", "1000", "--seed", seed);
    return outcomes[0]?.figures["digest"];
  };
  const [one, same, other] = [await digest("7"), await digest("7"), await digest("8")];
  expect(one).toBe(same);
  expect(one).not.toBe(other);
});

test("a target that does not exist is answered with those that do", async () => {
  const { code, stderr } = await fuzz("main.ts", "cobr");
  expect(code).toBe(2);
  expect(stderr).toContain(`no target cobr; there is ${TARGETS.join(", ")}, all`);
});
