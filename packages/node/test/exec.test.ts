import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ExecRule } from "../src/index.ts";
import { execTask } from "../src/tasks/exec.ts";
import { LineSplitter } from "../src/tasks/lines.ts";
import { openScene, type Scene } from "./support/scene.ts";

const NODE = process.execPath;
const rules: ExecRule[] = [
  { command: "greet", path: "/bin/sh", args: [["-c", "echo hello; echo oops >&2"]] },
  { command: "sh", path: "/bin/sh", args: "any" },
  { command: "cat", path: "/bin/cat" },
];

async function exec(it: Scene, input: unknown) {
  await it.gateway.runTask({ definition: "exec" }, input);
  await it.gateway.until(() => it.gateway.results().length === 1);
  const lines = it.gateway.taskEvents().flatMap((event) => (event.kind === "task.log" ? [event.data] : []));
  return { result: it.gateway.results()[0], lines: lines.map(({ level, message }) => `${level}: ${message}`) };
}

describe("exec", () => {
  it("is not offered without rules", async () => {
    await using it = await openScene({ exec: [] });
    await it.start();
    expect(it.gateway.session.hello.capabilities).toEqual([]);
  });

  it("runs an allowed command and streams its output as log lines", async () => {
    await using it = await openScene({ exec: rules });
    await it.start();
    const { result, lines } = await exec(it, { command: "greet", args: ["-c", "echo hello; echo oops >&2"] });
    expect(result).toMatchObject({ outcome: "succeeded" });
    expect(lines.sort()).toEqual(["info: hello", "warn: oops"]);
  });

  it("feeds it what it is to read", async () => {
    await using it = await openScene({ exec: rules });
    await it.start();
    const { lines } = await exec(it, { command: "cat", stdin: new TextEncoder().encode("a\nb\n") });
    expect(lines).toEqual(["info: a", "info: b"]);
  });

  it("runs a command named by its path, under any rule for that path that takes the arguments", async () => {
    await using it = await openScene({ exec: rules });
    await it.start();
    const { result, lines } = await exec(it, { command: "/bin/sh", args: ["-c", "echo by path"] });
    expect(result).toMatchObject({ outcome: "succeeded" });
    expect(lines).toEqual(["info: by path"]);
  });

  it.each([
    ["a path that is not on the list", { command: "/bin/rm", args: [] }, "EXEC_NOT_ALLOWED"],
    ["a command that is not on the list", { command: "rm", args: ["-rf", "/"] }, "EXEC_NOT_ALLOWED"],
    ["other arguments than listed", { command: "greet", args: ["-c", "rm -rf /"] }, "EXEC_NOT_ALLOWED"],
    ["arguments where none are listed", { command: "cat", args: ["/etc/passwd"] }, "EXEC_NOT_ALLOWED"],
    ["a command that fails", { command: "sh", args: ["-c", "exit 3"] }, "EXEC_FAILED"],
  ])("fails for %s", async (_, input, code) => {
    await using it = await openScene({ exec: rules });
    await it.start();
    const { result } = await exec(it, input);
    expect(result).toMatchObject({ outcome: "failed", error: { code, retryable: false } });
  });

  it("gives the command no more of the node's environment than it needs", async () => {
    process.env["QUAYMESH_TEST_SECRET"] = "secret";
    try {
      await using it = await openScene({ exec: rules });
      await it.start();
      const { lines } = await exec(it, { command: "sh", args: ["-c", "echo [$QUAYMESH_TEST_SECRET]"] });
      expect(lines).toEqual(["info: []"]);
    } finally {
      delete process.env["QUAYMESH_TEST_SECRET"];
    }
  });

  it("kills the whole process group when cancelled, also what ignores SIGTERM", async () => {
    await using it = await openScene({ exec: [{ command: "node", path: NODE, args: "any" }] });
    await it.start();
    const script = join(it.state, "stubborn.mjs");
    // The grandchild is not killed with its parent unless the group is.
    await writeFile(
      script,
      `import { spawn } from "node:child_process";
       process.on("SIGTERM", () => {});
       const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
       console.log([process.pid, child.pid].join(" "));
       setInterval(() => {}, 1000);`,
    );
    const attempt = await it.gateway.runTask({ definition: "exec" }, { command: "node", args: [script] });
    const logLine = (): string | undefined =>
      it.gateway.taskEvents().flatMap((event) => (event.kind === "task.log" ? event.data.message : []))[0];
    await it.gateway.until(() => logLine() !== undefined);
    const pids = (logLine() ?? "").split(" ").map(Number);
    expect(pids.every((pid) => isAlive(pid))).toBe(true);
    await attempt.stream.send({ type: "cancel", reason: "enough" });
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ outcome: "cancelled" });
    expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
  });

  it("is over with the command, also where a process it left behind in a group of its own keeps its output open", async () => {
    await using it = await openScene({ exec: [{ command: "node", path: NODE, args: "any" }] });
    await it.start();
    const script = join(it.state, "daemon.mjs");
    await writeFile(
      script,
      `import { spawn } from "node:child_process";
       const daemon = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "inherit" });
       console.log(String(daemon.pid));
       daemon.unref();`,
    );
    await it.gateway.runTask({ definition: "exec" }, { command: "node", args: [script] });
    const daemon = (): number | undefined =>
      it.gateway.taskEvents().flatMap((event) => (event.kind === "task.log" ? Number(event.data.message) : []))[0];
    await it.gateway.until(() => daemon() !== undefined);
    try {
      await it.gateway.until(() => it.gateway.results().length === 1);
      expect(it.gateway.results()[0]).toMatchObject({ outcome: "succeeded" });
    } finally {
      process.kill(daemon() ?? Number.NaN, "SIGKILL");
    }
  });

  it.each([
    ["a relative path", [{ command: "a", path: "bin/a" }]],
    [
      "two rules for one command",
      [
        { command: "a", path: "/a" },
        { command: "a", path: "/b" },
      ],
    ],
  ])("refuses %s", (_, wrong) => {
    expect(() => execTask(wrong)).toThrow(expect.objectContaining({ code: "OPTIONS_INVALID" }));
  });
});

describe("lines", () => {
  it("come whole however the bytes are cut, long ones in pieces", () => {
    const text = Buffer.from(`ä€😀\r\n\n${"x".repeat(20_000)}\nlast`);
    for (const size of [1, 2, 3, 7, 8192, 30_000]) {
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line));
      for (let at = 0; at < text.length; at += size) splitter.push(text.subarray(at, at + size));
      splitter.end();
      expect(lines.slice(0, 2)).toEqual(["ä€😀", ""]);
      expect(lines.slice(2, -1).join("")).toBe("x".repeat(20_000));
      expect(lines.every((line) => line.length <= 8192)).toBe(true);
      expect(lines.at(-1)).toBe("last");
    }
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return true;
}
