/** SECURITY.md says of each threat which tests prove the defence. Here it is held to that: each row names tests, and each test exists under its title. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const HEAD = "| threat | defence | proved by |";
/** A test in a row: its file, and its title between quotes. */
const NAMED = /`([\w./-]+\.test\.ts)` "([^"]+)"/gu;

/** The cells of a table's rows. */
function rowsOf(markdown: string): readonly (readonly string[])[] {
  const lines = markdown.split("\n");
  const from = lines.indexOf(HEAD);
  if (from < 0) throw new Error("the threat table is gone, or has other columns");
  const rest = lines.slice(from + 2);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  return rest.slice(0, end < 0 ? undefined : end).map((line) => line.split(/(?<!\\)\|/u).slice(1, -1));
}

/** What a row claims and does not hold; nothing, where all is well. */
function faultsOf(row: readonly string[], read: (file: string) => string | undefined): readonly string[] {
  const [threat = "", , proof = ""] = row;
  if (row.length !== 3) return [`a row with ${String(row.length)} cells: ${threat.trim()}`];
  const named = [...proof.matchAll(NAMED)];
  if (named.length === 0) return [`no test is named for: ${threat.trim()}`];
  return named.flatMap(([, file = "", title = ""]) => {
    const text = read(file);
    if (text === undefined) return [`${file} does not exist`];
    const isThere = [`"${title}"`, `'${title}'`, `\`${title}\``].some((literal) => text.includes(literal));
    return isThere ? [] : [`${file} has no test called: ${title}`];
  });
}

function readTest(file: string): string | undefined {
  const path = join(ROOT, file);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

test("every threat names tests that exist, by their titles", () => {
  const rows = rowsOf(readFileSync(join(ROOT, "SECURITY.md"), "utf8"));
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.flatMap((row) => faultsOf(row, readTest))).toEqual([]);
});

test("a row without a test, one whose file is gone and one whose title was changed are noticed", () => {
  const read = (file: string): string | undefined => (file === "a.test.ts" ? 'test("it holds", () => {});' : undefined);
  expect(faultsOf(["a threat", "a defence", "by review"], read)).toEqual(["no test is named for: a threat"]);
  expect(faultsOf(["a threat", "a defence"], read)).toHaveLength(1);
  expect(faultsOf(["t", "d", '`b.test.ts` "it holds"'], read)).toEqual(["b.test.ts does not exist"]);
  expect(faultsOf(["t", "d", '`a.test.ts` "it held"'], read)).toEqual(["a.test.ts has no test called: it held"]);
  expect(faultsOf(["t", "d", '`a.test.ts` "it holds"'], read)).toEqual([]);
});

test("every test file that the document names anywhere exists", () => {
  const text = readFileSync(join(ROOT, "SECURITY.md"), "utf8");
  const named = [...text.matchAll(/`([\w./-]+\.test\.ts)`/gu)].map(([, file = ""]) => file);
  expect(named.filter((file) => readTest(file) === undefined)).toEqual([]);
});
