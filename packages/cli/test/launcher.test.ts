import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { VERSION } from "../src/version.ts";

const BIN = fileURLToPath(new URL("../bin/quaymesh.js", import.meta.url));
/** Debian's own Node, older than what is supported. */
const SYSTEM_NODE = "/usr/bin/node";

function systemMajor(): number {
  if (!existsSync(SYSTEM_NODE)) return 0;
  const { stdout } = spawnSync(SYSTEM_NODE, ["-p", "process.versions.node"], { encoding: "utf8" });
  return Number(stdout.split(".")[0]);
}

describe("bin/quaymesh.js", () => {
  const major = systemMajor();
  test.runIf(major >= 12 && major < 24)(
    "under an unsupported Node says what is needed and what was found, in one line",
    () => {
      const { status, stdout, stderr } = spawnSync(SYSTEM_NODE, [BIN, "device", "list"], { encoding: "utf8" });
      expect(status).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toMatch(
        new RegExp(
          `^quaymesh needs Node \\^24\\.16\\.0 \\|\\| >=26\\.1\\.0 and found ${major}\\.\\d+\\.\\d+ \\(exit 2\\)\\n$`,
          "u",
        ),
      );
    },
  );

  test("runs the sources of a checkout, with no word of warning", () => {
    const run = spawnSync(process.execPath, [BIN, "--version"], { encoding: "utf8" });
    expect(run).toMatchObject({ status: 0, stdout: `${VERSION}\n`, stderr: "" });
  });

  test("passes the exit code on", () => {
    expect(spawnSync(process.execPath, [BIN, "device", "list", "--state", "/nonexistent"]).status).toBe(30);
  });

  test("passes signals on: SIGTERM stops a command that waits, politely", async () => {
    const state = await mkdtemp(join(tmpdir(), "quaymesh-cli-"));
    // An admin socket that takes connections and never answers.
    const silent = createServer();
    const connected = new Promise<void>((resolve) => silent.once("connection", () => resolve()));
    await new Promise<void>((resolve) => silent.listen(join(state, "admin.sock"), resolve));
    try {
      const child = spawn(process.execPath, [BIN, "device", "list", "--state", state, "--json"]);
      const over = new Promise<{ code: number | null; stderr: string }>((resolve) => {
        let stderr = "";
        child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
        child.once("close", (code) => resolve({ code, stderr }));
      });
      await connected;
      child.kill("SIGTERM");
      const { code, stderr } = await over;
      expect(code).toBe(130);
      expect(JSON.parse(stderr)).toMatchObject({ error: { code: "INTERRUPTED" } });
    } finally {
      silent.close();
      await rm(state, { recursive: true, force: true });
    }
  });
});
