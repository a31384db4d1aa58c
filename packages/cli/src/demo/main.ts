/** The main job, end to end, in separate processes over real QUIC: `npm run demo`, with `-- --json` for programs. */
import { connect } from "@quaymesh/gateway/client";
import { rmSync } from "node:fs";
import { CliError } from "../errors.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE } from "../exit-codes.ts";
import { reportError } from "../report.ts";
import { span } from "../ui/format.ts";
import { Terminal } from "../ui/terminal.ts";
import { surviveKills } from "./events-step.ts";
import { startGateway } from "./gateway-step.ts";
import { goOnline } from "./online-step.ts";
import { pairByPicture } from "./pair-step.ts";
import { revokeOne } from "./revoke-step.ts";
import { Screen } from "./screen.ts";
import { Stage } from "./stage.ts";
import { Steps } from "./steps.ts";
import { offloadTask } from "./task-step.ts";

async function play(stage: Stage, screen: Screen, steps: Steps): Promise<void> {
  const gateway = await steps.run("gateway", "quaymesh gateway run", () => startGateway(stage));
  const node = await steps.run("pair", "quaymesh pair", () => pairByPicture(stage, screen, gateway));
  const running = await steps.run("online", "quaymesh node run", () => goOnline(stage, node));
  await using client = await connect({ state: gateway.state, signal: stage.signal });
  await steps.run("task", "reading this repository", () => offloadTask(stage, screen, client, node));
  // The same node goes on inside an application of its own, which records the events.
  await running.stop();
  await steps.run("events", "recording events", () => surviveKills(stage, screen, gateway, node));
  await steps.run("revoke", "pairing a second node by PIN", () => revokeOne(stage, screen, gateway, client, node));
}

async function demo(json: boolean): Promise<number> {
  const terminal = new Terminal(process);
  const stop = new AbortController();
  const startedAt = performance.now();
  using screen = new Screen(terminal);
  const steps = new Steps(screen);
  let exit = EXIT_DONE;
  try {
    await using stage = await Stage.open(stop.signal);
    onInterrupt(stop, stage.directory);
    screen.say("Quaymesh, end to end: separate processes, real QUIC, a fresh state directory");
    await play(stage, screen, steps);
  } catch (error) {
    screen[Symbol.dispose]();
    exit = stop.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
    reportError(terminal, stop.signal.aborted ? stop.signal.reason : error, {
      json: false,
      debug: process.argv.includes("--debug"),
    });
  }
  const ms = Math.round(performance.now() - startedAt);
  if (exit === EXIT_DONE) screen.say(`All six steps in ${span(ms)}; no process and no file is left behind`);
  if (json) terminal.json({ ok: exit === EXIT_DONE, ms, steps: steps.records });
  return exit;
}

function onInterrupt(stop: AbortController, directory: string): void {
  const onSignal = (): void => {
    if (stop.signal.aborted) {
      rmSync(directory, { recursive: true, force: true });
      process.exit(EXIT_INTERRUPTED);
    }
    stop.abort(new CliError("INTERRUPTED", "the demo was stopped; its processes and its directory are gone"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
}

const args = process.argv.slice(2);
const unknown = args.find((word) => word !== "--json" && word !== "--debug");
if (unknown !== undefined) {
  process.stderr.write(`the demo takes --json and --debug, not "${unknown}"\n`);
  process.exitCode = EXIT_USAGE;
} else {
  process.exitCode = await demo(args.includes("--json"));
}
