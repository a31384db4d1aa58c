import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
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

const START = fileURLToPath(new URL("../src/start.ts", import.meta.url));
/** Prints the names of the packages that were loaded, when the process ends. */
const TELL_LOADED = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from "node:module";
  const names = new Set();
  registerHooks({
    load(url, context, next) {
      const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1] ?? /packages\\/([^/]+)/.exec(url)?.[1];
      if (name !== undefined) names.add(name);
      return next(url, context);
    },
  });
  process.on("exit", () => console.error(JSON.stringify([...names].sort())));
`)}`;

function packagesLoadedBy(...words: readonly string[]): unknown {
  const args = ["--import", TELL_LOADED, "-C", "@quaymesh/source", START, ...words];
  const { stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "");
}

/** A published package in miniature, whose command prints where compiled code is kept. */
async function publishedCopy(directory: string): Promise<string> {
  const bin = join(directory, "bin", "quaymesh.js");
  await mkdir(join(directory, "bin"));
  await mkdir(join(directory, "dist"));
  await writeFile(join(directory, "package.json"), '{"type":"module"}');
  await copyFile(BIN, bin);
  await writeFile(
    join(directory, "dist", "start.js"),
    'import { getCompileCacheDir } from "node:module"; console.log(getCompileCacheDir() ?? "nowhere");',
  );
  return bin;
}

describe("the start of the command", () => {
  test("loads nothing that only some commands need", () => {
    expect(packagesLoadedBy("--version")).toEqual(["cli", "commander", "protocol"]);
  });

  test("loads the operator API for what asks the gateway, and no message schemas", () => {
    const loaded = packagesLoadedBy("device", "list", "--state", tmpdir());
    expect(loaded).toContain("@connectrpc/connect");
    expect(loaded).not.toContain("typebox");
  });

  test("keeps compiled code where nobody else can write, or nowhere", async () => {
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-cli-"));
    try {
      const bin = await publishedCopy(directory);
      const keptIn = (env: Readonly<Record<string, string>>): string =>
        spawnSync(process.execPath, [bin], { encoding: "utf8", env }).stdout.trimEnd();
      const home = join(directory, "home");
      await mkdir(home, { mode: 0o755 });
      expect(keptIn({ HOME: home })).toMatch(`${join(home, ".cache", "quaymesh")}/`);
      await chmod(join(home, ".cache", "quaymesh"), 0o777);
      expect(keptIn({ HOME: home })).toBe("nowhere");
      const caches = join(home, "caches");
      expect(keptIn({ HOME: home, XDG_CACHE_HOME: caches })).toMatch(`${join(caches, "quaymesh")}/`);
      expect(keptIn({ HOME: home, XDG_CACHE_HOME: join(bin, "not-a-directory") })).toBe("nowhere");
      const shared = join(directory, "shared");
      await mkdir(shared);
      await chmod(shared, 0o777);
      expect(keptIn({ HOME: shared })).toBe("nowhere");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

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

test("in a checkout, sockets from systemd would get lost when it starts itself again: it says so, and how to start it", () => {
  const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"';
  const ended = spawnSync("/bin/sh", ["-c", script, "sh", process.execPath, BIN, "--version"], { encoding: "utf8" });
  expect(ended).toMatchObject({ status: 2, stdout: "" });
  expect(ended.stderr).toContain(`Start it with:  node -C @quaymesh/source ${BIN}`);
});
