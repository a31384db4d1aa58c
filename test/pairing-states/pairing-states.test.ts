import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { DOCUMENT, explore, renderTables, withTables, type Explored } from "./document.ts";
import { EXCUSES, RARE } from "./in-simulation.ts";
import { GATEWAY_PAIRS, NODE_PAIRS } from "./states.ts";

let explored: Explored;
beforeAll(() => {
  explored = explore();
}, 120_000);

test("the gateway's machine is given every input in every state, and what cannot be never is", () => {
  expect([...explored.gateway.keys()].toSorted()).toEqual(GATEWAY_PAIRS.toSorted());
});

test("the node's machine is given every input in every state", () => {
  expect([...explored.node.keys()].toSorted()).toEqual(NODE_PAIRS.toSorted());
});

test("the document has the transitions that the machines make", async () => {
  const text = await readFile(DOCUMENT, "utf8");
  // `npm run pairing-states` writes it anew.
  expect(text).toBe(withTables(text, renderTables(explored)));
});

test("an attempt is judged only where it was persisted, and leaving early is no way out", () => {
  const judging = [...explored.gateway].filter(([, came]) => [...came].some((outcome) => outcome.includes("settle")));
  expect(judging.map(([pair]) => pair).toSorted()).toEqual([
    "attempt persisting + persisted",
    "attempt persisting, gone + persisted",
  ]);
});

test("only an approval issues, given by an operator for a request that waits for one, or with the window", () => {
  const issuing = [...explored.gateway].filter(([, came]) => [...came].some((outcome) => /\bissue\b/u.test(outcome)));
  expect(issuing.map(([pair]) => pair).toSorted()).toEqual([
    "attempt inspecting + csr-inspected",
    "request pending + approve",
  ]);
});

test("a transition that simulations need not take is one that there is, and its excuse is in the document", async () => {
  const all = new Set([...GATEWAY_PAIRS, ...NODE_PAIRS]);
  expect([...RARE].filter((pair) => !all.has(pair))).toEqual([]);
  const text = await readFile(DOCUMENT, "utf8");
  for (const [excuse, says] of Object.entries(EXCUSES)) expect(text).toContain(`\`${excuse}\`: ${says}`);
});
