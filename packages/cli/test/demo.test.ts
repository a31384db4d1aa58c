import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { Child } from "../src/demo/child.ts";
import { digestAll, digestFile } from "../src/demo/digest.ts";
import { repositoryFiles } from "../src/demo/repository.ts";
import { Screen } from "../src/demo/screen.ts";
import { Stage } from "../src/demo/stage.ts";
import { Steps } from "../src/demo/steps.ts";
import { Reader, verifyRecords, type TickRecord } from "../src/demo/ticks.ts";
import { fakeTerminal } from "./support.ts";

const signal = new AbortController().signal;

function script(source: string, onLine?: (line: object) => void): Child {
  const args = ["--input-type=module", "-e", source];
  return Child.start({ name: "script", args, env: process.env, signal, ...(onLine && { onLine }) });
}

describe("verifying what readers hold", () => {
  // A mark, ticks 1 to 3, the mark of a second run, ticks 4 to 6.
  const expected = { ticks: 6, toldAtKill: 3, firstMark: 11 };
  const good: readonly TickRecord[] = [undefined, 1, 2, 3, undefined, 4, 5, 6].map((tick, index) => ({
    offset: 100 + 2 * index,
    seq: 11 + index,
    tick,
  }));
  const verdict = (records: readonly TickRecord[]) => () => verifyRecords(records, "the log", expected);

  test("every event once, in order, passes", () => {
    expect(verdict(good)()).toEqual({ delivered: 6, duplicates: 0, lost: 0 });
  });

  test("a lost, a repeated, a swapped event, a gap in the sequence and an offset that goes back are each found", () => {
    expect(verdict(good.filter(({ tick }) => tick !== 2))).toThrow(
      "lacks 1 of 6 events, 1 of them told of before the kill",
    );
    expect(verdict(good.filter(({ tick }) => tick !== 6))).toThrow("lacks 1 of 6 events, 0 of them");
    expect(verdict([...good, { offset: 120, seq: 19, tick: 6 }])).toThrow("1 events twice");
    expect(verdict(swap(good, "tick"))).toThrow("out of order");
    expect(verdict(swap(good, "seq"))).toThrow("gap in the node's sequence");
    expect(verdict(good.map((record) => (record.seq < 15 ? record : { ...record, seq: record.seq + 1 })))).toThrow(
      "gap",
    );
    expect(verdict(swap(good, "offset"))).toThrow("after a later one");
  });

  function swap(records: readonly TickRecord[], field: "tick" | "seq" | "offset"): readonly TickRecord[] {
    const [a, b] = [records[1], records[2]];
    if (a === undefined || b === undefined) throw new Error("too few records");
    return [...records.slice(0, 1), { ...a, [field]: b[field] }, { ...b, [field]: a[field] }, ...records.slice(3)];
  }

  test("the reader knows when it is complete and where it resumed", async () => {
    const reader = new Reader(2, () => {});
    reader.take({ offset: 1, seq: 1, data: null });
    reader.take({ offset: 2, seq: 2, data: { tick: 1 } });
    reader.take({ resumed: { after: 2 } });
    reader.take({ offset: 3, seq: 3, data: { tick: 2 } });
    await reader.complete(signal);
    expect(reader.resumedFrom).toBe(2);
    expect(reader.records.map((record) => record.tick)).toEqual([undefined, 1, 2]);
  });
});

describe("child processes", () => {
  test("lines are found in any order, printed before or after they are asked for", async () => {
    await using child =
      script(`console.log('{"a":1}'); console.log("no json"); process.stdin.once("data", () => console.log('{"b":2}'));
      setInterval(() => {}, 1000);`);
    expect(await child.line("a", (line) => "a" in line)).toEqual({ a: 1 });
    child.send("go");
    expect(await child.line("b", (line) => "b" in line)).toEqual({ b: 2 });
    await child.kill();
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("one that ends too early fails the wait with its last words", async () => {
    await using child = script(`console.error("no such port"); process.exitCode = 32;`);
    await expect(child.line("ready line", () => true)).rejects.toMatchObject({ seen: ["script: no such port"] });
    await expect(child.exit(0)).rejects.toThrow("ended with exit code 32 instead of exit code 0");
  });

  test("an error told of as JSON becomes a sentence", async () => {
    const error = { code: "PORT_IN_USE", message: "It is in use.", hint: "Choose another." };
    await using child = script(`console.error(${JSON.stringify(JSON.stringify({ error }))}); process.exitCode = 32;`);
    await expect(child.exit(0)).rejects.toMatchObject({
      seen: ["script: It is in use. Choose another. (PORT_IN_USE)"],
    });
  });

  test("half a line of a killed process is not taken for a line", async () => {
    const lines: object[] = [];
    await using child = script(
      `process.stdout.write('{"a":1}\\n{"a":'); process.kill(process.pid, "SIGKILL");`,
      (line) => lines.push(line),
    );
    await child.exited;
    expect(lines).toEqual([{ a: 1 }]);
  });

  test("disposing asks first: a polite process ends with its own exit code", async () => {
    const child = script(
      `process.on("SIGTERM", () => process.exit(7)); console.log("{}"); setInterval(() => {}, 1000);`,
    );
    await child.line("start", () => true);
    await child[Symbol.asyncDispose]();
    expect(await child.exited).toEqual({ code: 7, signal: null });
  });
});

describe("the stage", () => {
  test("is removed at the end with all that was written, and its processes end", async () => {
    const stage = await Stage.open(signal);
    await writeFile(stage.path("key"), "secret");
    const child = stage.command("waiting", ["device", "list", "--state", stage.path("none")]);
    await stage[Symbol.asyncDispose]();
    expect(existsSync(stage.directory)).toBe(false);
    await child.exited;
  });
});

describe("steps", () => {
  test("are recorded with their facts; a failure is recorded and rethrown", async () => {
    const { terminal, stderr } = fakeTerminal();
    using screen = new Screen(terminal);
    const steps = new Steps(screen);
    const outcome = { facts: { files: 3 }, lines: ["3 files", "all well"], value: 42 };
    expect(await steps.run("task", "working", () => Promise.resolve(outcome))).toBe(42);
    await expect(steps.run("events", "working", () => Promise.reject(new Error("lost one")))).rejects.toThrow(
      "lost one",
    );
    expect(steps.records).toEqual([
      { name: "task", ok: true, ms: expect.any(Number), files: 3 },
      { name: "events", ok: false, ms: expect.any(Number), error: "lost one" },
    ]);
    expect(stderr.text).toMatch(/^1 task +✓ .* 3 files\n +all well\n2 events +✗/u);
  });
});

describe("digests", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  test("count lines as people do, a last one without its line feed included", () => {
    const lines = (text: string): number => digestFile({ path: "x", content: bytes(text) }).lines;
    expect([lines(""), lines("a"), lines("a\n"), lines("a\nb"), lines("\n\n")]).toEqual([0, 1, 1, 2, 2]);
  });

  test("are SHA-256, and the one over all depends on every file", () => {
    const file = digestFile({ path: "x", content: bytes("abc") });
    expect(file.sha256).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(digestAll([file])).toBe(createHash("sha256").update(`${file.sha256} 1 3 x\n`).digest("hex"));
    expect(digestAll([file, { ...file, path: "y" }])).not.toBe(digestAll([file, file]));
  });

  test("every file of the repository is sent, this one too, sorted by path", async () => {
    const files = await repositoryFiles();
    const paths = files.map((file) => file.path);
    expect(paths).toContain("packages/cli/bin/quaymesh.js");
    expect(paths).toContain("package-lock.json");
    expect(paths).toEqual([...paths].sort());
    expect(paths.some((path) => path.includes("node_modules/"))).toBe(false);
  });
});
