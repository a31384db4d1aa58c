import type { ExecRule, NodeLogLine, NodeState, TaskDefinition } from "@quaymesh/node";
import type { SocketAddress } from "@quaymesh/protocol";
import { Option, type Command } from "commander";
import { formatAddress } from "../address.ts";
import { makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { explain } from "../errors.ts";
import { datagramOption, openTransport, traceOption, type TransportFlags } from "../quic.ts";
import { defaultNodeState, requireState } from "../state.ts";
import { loadDefinitions } from "../task-module.ts";
import { printable, span } from "../ui/format.ts";
import type { Terminal } from "../ui/terminal.ts";
import { execRule } from "../exec-rule.ts";

interface Options extends CommonOptions, TransportFlags {
  readonly tasks?: readonly string[];
  readonly allowExec?: readonly string[];
  readonly concurrency?: number;
  readonly compress: "auto" | "never";
  readonly verbose: boolean;
  readonly retry: boolean;
  readonly find?: string | true;
}

const MAX_CONCURRENCY = 1024;

/** `quaymesh node run` */
export function nodeRunCommand(context: Context): Command {
  return makeCommand("run", {
    summary: "run this node in the foreground",
    description:
      "Connect to the gateway this machine is paired with, stay connected, deliver recorded events and run tasks, until Ctrl-C or SIGTERM. " +
      "Reconnects by itself; ends only when the gateway refuses for good, as after a revocation.",
    examples: [
      ["quaymesh node run", "offers no tasks, delivers events"],
      ["quaymesh node run --tasks ./tasks.ts", "offers the task definitions that module exports"],
      [
        "quaymesh node run --allow-exec /usr/bin/uptime",
        "lets operators run that command, without arguments, as the task exec",
      ],
    ],
    exits: [3, 6, 13, 16, 17, 19, 28, 30, 31, 33, 36, 37],
    state: "node",
  })
    .addOption(new Option("--tasks <files...>", "modules with task definitions, made with defineTask"))
    .addOption(
      new Option("--allow-exec <commands...>", "absolute paths the task exec may run; PATH=any allows any arguments"),
    )
    .addOption(new Option("--concurrency <n>", "tasks at once (default: 8)").argParser(wholeNumber(1, MAX_CONCURRENCY)))
    .addOption(
      new Option("--compress <when>", "compress large batches of events: where the link is slow, or never")
        .choices(["auto", "never"])
        .default("auto"),
    )
    .addOption(datagramOption())
    .addOption(traceOption())
    .option(
      "--find [address]",
      "look for the gateway on this network (mDNS) where it is at none of its addresses, on the interface with this address (default: all)",
    )
    .option("--no-retry", "end, with the reason, when the gateway cannot be reached or is full")
    .option("--verbose", "also say what the node does inside", false)
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const state = await requireState(options.state ?? defaultNodeState(terminal.streams.env), "node");
  const { Node } = await import("@quaymesh/node");
  const definitions: TaskDefinition[] = [];
  for (const file of options.tasks ?? []) definitions.push(...(await loadDefinitions(file)));
  const exec: readonly ExecRule[] = (options.allowExec ?? []).map(execRule);
  await using node = await Node.open({
    state,
    transport: await openTransport(options),
    tasks: definitions,
    exec,
    compress: options.compress,
    ...(options.concurrency !== undefined && { concurrency: options.concurrency }),
    ...(options.find !== undefined && { elsewhere: finder(options.find) }),
    log: (line) => log(terminal, line, options),
  });
  const giveUp = new AbortController();
  const stop = AbortSignal.any([signal, giveUp.signal]);
  const running = node.run({ signal: stop });
  const watching = watch(node.states(), (now) => {
    if (options.json) terminal.json(stateJson(now));
    else terminal.note(stateLine(now));
    if (now.kind === "waiting" && !options.retry) giveUp.abort(now.error);
  });
  try {
    await running;
  } catch (error) {
    // Being told to stop is how a node ends.
    if (!stop.aborted || error !== stop.reason) throw error;
  } finally {
    await watching;
  }
  // An abort is a polite stop, which does not throw; the reason still has to be told.
  if (giveUp.signal.aborted) throw giveUp.signal.reason;
}

/** Hints from the network: what is found is held to the mesh's root. */
function finder(on: string | true): (meshId: string, signal: AbortSignal) => Promise<readonly SocketAddress[]> {
  return async (meshId, signal) => {
    const { findMesh } = await import("../discovery/browse.ts");
    return await findMesh(meshId, { signal, ...(on !== true && { interfaces: [on] }) });
  };
}

async function watch(states: AsyncIterable<NodeState>, tell: (state: NodeState) => void): Promise<void> {
  for await (const state of states) {
    tell(state);
    if (state.kind === "stopped") return;
  }
}

/** A state as `--json` prints it. */
function stateJson(state: NodeState): object {
  const { kind, ...facts } = state;
  const error = "error" in facts && facts.error !== undefined ? { error: explain(facts.error) } : {};
  const since = "since" in facts ? { since: new Date(facts.since).toISOString() } : {};
  return { state: kind, ...facts, ...since, ...error };
}

/** A state in a line. */
function stateLine(state: NodeState): string {
  switch (state.kind) {
    case "idle":
      return "starting";
    case "dialing":
      return `dialing ${formatAddress(state.address)}${state.attempt > 1 ? `, attempt ${state.attempt}` : ""}`;
    case "renewing":
      return `the certificate has run out; asking for another at ${state.addresses.map(formatAddress).join(", ")}`;
    case "online":
      return `online with mesh "${printable(state.mesh)}", session ${state.sessionEpoch}, after ${span(state.handshakeMs)}`;
    case "waiting":
      return `offline: ${explain(state.error).message} Next try in ${span(state.retryInMs)}`;
    case "stopping":
      return "stopping: finishing what runs, delivering what is recorded";
    case "stopped":
      return state.error === undefined ? "stopped" : "stopped for good";
    default:
      return state satisfies never;
  }
}

function log(terminal: Terminal, line: NodeLogLine, { json, verbose }: Options): void {
  if (!verbose && (line.level === "debug" || line.level === "info")) return;
  if (json) terminal.note(JSON.stringify({ time: new Date().toISOString(), ...line }));
  else terminal.note(`${line.level.padEnd(5)} ${line.message}`);
}
