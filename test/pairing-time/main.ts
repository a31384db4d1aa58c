/**
 * From a code that is shown to a node that is online, in real processes and with nobody in between: `node join` with a pre-approved ticket, then `node run`. Prints one line of
 * JSON a run and the medians.
 *
 *     npm exec -- node -C @quaymesh/source test/pairing-time/main.ts [runs]
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const COMMAND = fileURLToPath(new URL("../../packages/cli/bin/quaymesh.js", import.meta.url));

type Line = Readonly<Record<string, unknown>>;

interface Started {
  readonly process: ChildProcess;
  /** The first JSON line that `holds`, and when it came. */
  until(holds: (line: Line) => boolean): Promise<{ readonly line: Line; readonly at: number }>;
  readonly ended: Promise<void>;
}

function start(args: readonly string[], input = ""): Started {
  const child = spawn(process.execPath, [COMMAND, ...args, "--json"], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(input);
  const lines: { readonly line: Line; readonly at: number }[] = [];
  let wake = Promise.withResolvers<void>();
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  createInterface({ input: child.stdout }).on("line", (text) => {
    lines.push({ line: JSON.parse(text) as Line, at: performance.now() });
    wake.resolve();
    wake = Promise.withResolvers();
  });
  return {
    process: child,
    ended,
    async until(holds) {
      for (;;) {
        const found = lines.find(({ line }) => holds(line));
        if (found !== undefined) return found;
        const over = await Promise.race([wake.promise.then(() => false), ended.then(() => true)]);
        if (over && !lines.some(({ line }) => holds(line))) throw new Error(`quaymesh ${args.join(" ")} ended early`);
      }
    },
  };
}

async function measure(directory: string, gateway: string, run: number): Promise<Readonly<Record<string, number>>> {
  const state = join(directory, `node-${run}`);
  const pair = start(["pair", "--state", gateway, "--auto-approve", "--detach"]);
  const opened = await pair.until(({ state: now }) => now === "open");
  const shown = performance.now();
  await pair.ended;
  const begun = performance.now();
  const joining = start(["node", "join", "-", "--state", state], String(opened.line["link"]));
  const dialing = await joining.until(({ step }) => step === "dialing");
  const stored = await joining.until(({ step }) => step === "stored");
  await joining.ended;
  const joined = performance.now();
  const running = start(["node", "run", "--state", state]);
  const online = await running.until((line) => line["state"] === "online" || line["event"] === "online");
  running.process.kill("SIGTERM");
  await running.ended;
  const ms = (value: number): number => Math.round(value);
  return {
    processUntilDialing: ms(dialing.at - begun),
    pairing: ms(stored.at - dialing.at),
    goodbyeAndExit: ms(joined - stored.at),
    runUntilOnline: ms(online.at - joined),
    total: ms(online.at - begun),
    shownToBegun: ms(begun - shown),
  };
}

const runs = Number(process.argv[2] ?? 5);
const directory = await mkdtemp(join(tmpdir(), "quaymesh-pairing-time-"));
const gateway = join(directory, "gateway");
const daemon = start([
  "gateway",
  "run",
  "--state",
  gateway,
  "--listen",
  "127.0.0.1:0",
  "--pairing-listen",
  "127.0.0.1:0",
]);
try {
  await daemon.until((line) => line["ready"] === true);
  const results: Readonly<Record<string, number>>[] = [];
  for (let run = 0; run < runs; run++) {
    const result = await measure(directory, gateway, run);
    results.push(result);
    console.log(JSON.stringify(result));
  }
  const median = (key: string): number => results.map((each) => each[key] ?? 0).sort((a, b) => a - b)[runs >> 1] ?? 0;
  const keys = Object.keys(results[0] ?? {});
  console.log(JSON.stringify({ median: Object.fromEntries(keys.map((key) => [key, median(key)])), runs }));
} finally {
  daemon.process.kill("SIGTERM");
  await daemon.ended;
  await rm(directory, { recursive: true, force: true });
}
