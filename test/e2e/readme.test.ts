import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { pairNode, Running, startGateway, temporaryDirectory } from "./support.ts";

const ROOT = join(import.meta.dirname, "../..");
const readme = readFileSync(join(ROOT, "README.md"), "utf8");

const blocks = (language: string): string[] =>
  [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? "");

describe("the README", () => {
  it("shows the examples as they are", () => {
    const examples = ["node.ts", "submit.ts", "follow.ts"].map((name) =>
      readFileSync(join(ROOT, "examples", name), "utf8"),
    );
    expect(blocks("ts")).toEqual(examples);
  });

  it("names only npm scripts and files that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm (?:run )?(demo|test|bench|check|\w+)(?= |$|`|\n)/g)].map(
      (match) => match[1] ?? "",
    );
    expect(named.filter((name) => name !== "ci" && !(name in scripts) && name !== "and")).toEqual([]);
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1] ?? "");
    for (const link of links) expect(() => readFileSync(join(ROOT, link)), link).not.toThrow(/ENOENT/);
  });

  it("has a follower that prints what a node has reported", { timeout: 240_000 }, async () => {
    await using directory = await temporaryDirectory();
    const [gatewayState, nodeState] = [directory.path("gateway"), directory.path("node")];
    await using _gateway = await startGateway(gatewayState);
    await pairNode(gatewayState, nodeState, "desk");
    const example = (name: string, state: string) => ["-C", "@quaymesh/source", join(ROOT, "examples", name), state];
    await promisify(execFile)(process.execPath, example("publish.ts", nodeState));
    const follower = spawn(process.execPath, example("follow.ts", gatewayState), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [line] = (await once(createInterface({ input: follower.stdout }), "line")) as [string];
      expect(line).toMatch(/^21\.5 [0-9a-f-]{36}:\d+$/u);
    } finally {
      follower.kill("SIGKILL");
    }
  });

  it("has a node and a submitter that do what it says", { timeout: 240_000 }, async () => {
    await using directory = await temporaryDirectory();
    const [gatewayState, nodeState] = [directory.path("gateway"), directory.path("node")];
    await using _gateway = await startGateway(gatewayState);
    await pairNode(gatewayState, nodeState, "desk");
    // The example module opens its own node; here the command runs the same definition.
    const definitions = join(ROOT, "test/e2e/words-task.ts");
    await using node = new Running(["node", "run", "--state", nodeState, "--tasks", definitions]);
    await node.line((line) => line["state"] === "online");
    const { stdout } = await promisify(execFile)(process.execPath, [
      "-C",
      "@quaymesh/source",
      join(ROOT, "examples/submit.ts"),
      gatewayState,
    ]);
    const lines = stdout.trim().split("\n");
    expect(lines.at(-1)).toBe("4 words");
    expect(lines.at(-2)).toBe("succeeded");
  });
});
