/** Plans that showed something once, kept by name. They are replayed before anything else. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import type { Plan } from "./plan.ts";

/** A kept plan. */
export interface Example {
  /** What it showed, for people. */
  readonly about: string;
  /** The rule that was broken. */
  readonly rule: string;
  /** With this control it has to be broken again, and without it not. */
  readonly control?: string;
  readonly plan: Plan;
}

/** Where they are. */
export const EXAMPLES = new URL("examples/", import.meta.url);

/** All of them, by name. */
export async function loadExamples(directory: URL = EXAMPLES): Promise<ReadonlyMap<string, Example>> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(".json")).toSorted();
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, directory), "utf8")));
  return new Map(names.map((name, index): [string, Example] => [name.slice(0, -5), JSON.parse(texts[index] ?? "")]));
}

/** Keep one. @returns the file */
export async function keepExample(name: string, example: Example, directory: URL = EXAMPLES): Promise<URL> {
  await mkdir(directory, { recursive: true });
  const file = new URL(`${name}.json`, directory);
  await writeFile(file, `${JSON.stringify(example, undefined, 2)}\n`);
  return file;
}
