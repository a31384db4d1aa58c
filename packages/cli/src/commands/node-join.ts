import type { JoinResult, JoinStep } from "@quaymesh/node";
import type { SocketAddress } from "@quaymesh/protocol";
import type { Command } from "commander";
import { hostname } from "node:os";
import { formatAddress } from "../address.ts";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { explain } from "../errors.ts";
import { datagramOption, openTransport, traceOption, type TransportFlags } from "../quic.ts";
import { defaultNodeState } from "../state.ts";
import { printable, shortFingerprint } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { findTarget, interfacesOf, type TargetOptions } from "./join-target.ts";
import { wordsLine } from "./pair-view.ts";

interface Options extends CommonOptions, TransportFlags, TargetOptions {
  readonly json: boolean;
  readonly name?: string;
  readonly invert: boolean;
}

/** A PIN burns after three wrong tries. */
const PIN_TRIES = 3;
const WRONG_PIN: ReadonlySet<unknown> = new Set(["PIN_INVALID", "PAIR_CODE_INVALID", "PAKE_CONFIRM_FAILED"]);

/** `quaymesh node join` */
export function nodeJoinCommand(context: Context): Command {
  return makeCommand("join [link-or-address]", {
    summary: "pair this machine with a gateway",
    description:
      "Pair this machine: with the link of a QR code or a gateway's address and the PIN it shows, pasted and typed at a prompt, or with a picture of the code. Every user of a machine can read " +
      "the arguments of its processes: a link that is given as one is for machines with one user. A machine without camera and keyboard " +
      "shows a code of its own instead, on its screen or in its log, and waits for an operator to scan it. " +
      "Makes this machine's key, which never leaves it. Compare the four words with the gateway's screen: an operator approves there. " +
      "Undo it on the gateway with:  quaymesh device revoke",
    examples: [
      ["quaymesh node join", "asks for the link, or finds gateways that announce themselves"],
      ["quaymesh node join --png code.png", "a picture of the code"],
      ["quaymesh node join - < link.txt", "the link from standard input, for scripts"],
      ["quaymesh node join 192.0.2.10", "by PIN, asked for at a prompt"],
      ["quaymesh node join --show 192.0.2.10", "show this machine's own code, for  quaymesh pair -"],
    ],
    exits: [3, 6, 10, 11, 12, 13, 14, 15, 17, 18, 19, 37],
    state: "node",
  })
    .option("--png <file>", "read the code from a PNG: a screenshot or a photograph")
    .option("--show", "show a code of this machine's own and wait until an operator has scanned it", false)
    .option("--invert", "with --show: draw dark blocks, for a light screen without colour", false)
    .option("--name <name>", "what the operator sees this machine called (default: its host name)")
    .option("--interface <address>", "where to look for announced gateways: an address of this machine (default: all)")
    .addOption(datagramOption())
    .addOption(traceOption())
    .action((target: string | undefined, options: Options) => run(context, target, options));
}

async function run(context: Context, target: string | undefined, options: Options): Promise<void> {
  const { terminal } = context;
  const state = options.state ?? defaultNodeState(terminal.streams.env);
  const result = await joinWith(context, target, options, state);
  if (options.json)
    terminal.json({ joined: true, ...result, notAfter: new Date(result.notAfter).toISOString(), state });
  else showResult(context, result, options.state);
}

/** Join; a person who mistypes a PIN at a prompt is asked again. */
async function joinWith(
  context: Context,
  target: string | undefined,
  options: Options,
  state: string,
): Promise<JoinResult> {
  const { terminal, signal } = context;
  const show = options.json ? undefined : await stepShower(context, options);
  const onStep = show ?? ((step: JoinStep): void => terminal.json(stepJson(step)));
  const found = await findTarget(context, target, options);
  for (let tries = PIN_TRIES; ; tries--) {
    try {
      const invitation = await found.invitation();
      const { join } = await import("@quaymesh/node");
      const name = options.name ?? hostname();
      const transport = await openTransport(options);
      const elsewhere = mayLook(context, options)
        ? (meshId: string) => findElsewhere(context, meshId, options)
        : undefined;
      return await join({ state, transport, invitation, name, ...(elsewhere && { elsewhere }), onStep, signal });
    } catch (cause) {
      const again = terminal.interactive && found.byPin && isWrongPin(cause) && tries > 1;
      if (!again) throw cause;
      terminal.note(
        `${terminal.tone("red", "✗")} ${explain(cause).message} Type it once more (three tries burn a PIN).`,
      );
    }
  }
}

function isWrongPin(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && WRONG_PIN.has(cause.code);
}

/** A script that gave an address means that address; the network is asked only where a person looks on, or says where. */
const mayLook = ({ terminal }: Context, options: Options): boolean =>
  terminal.interactive || options.interface !== undefined;

async function findElsewhere(context: Context, meshId: string, options: Options): Promise<readonly SocketAddress[]> {
  context.terminal.note("nobody answers there; looking for the gateway on this network…");
  const { findPairing } = await import("../discovery/browse.ts");
  return await findPairing(meshId, { ...interfacesOf(options.interface), signal: context.signal });
}

/** A step as `--json` prints it. */
export function stepJson(step: JoinStep): object {
  const { kind, ...facts } = step;
  return { step: kind, ...("notAfter" in facts ? withTimes(facts, ["notAfter"]) : facts) };
}

/** Shows steps to a person. */
async function stepShower(context: Context, { show, invert }: Options): Promise<(step: JoinStep) => void> {
  if (!show) return (step) => showStep(context, step);
  const { ownCodeLines } = await import("./own-code-view.ts");
  return (step) => {
    if (step.kind !== "showing") return showStep(context, step);
    for (const line of ownCodeLines(context.terminal, step.code, invert)) context.terminal.note(line);
  };
}

function showStep({ terminal }: Context, step: JoinStep): void {
  switch (step.kind) {
    case "showing":
      return;
    case "waiting":
      return terminal.note(waitingLine(step));
    case "dialing":
      return terminal.note(`asking the gateway at ${formatAddress(step.address)}`);
    case "connected":
      return terminal.done(`connected; its root is ${shortFingerprint(step.rootFingerprint.replaceAll(":", ""))}`);
    case "proved":
      terminal.done(`gateway of mesh "${printable(step.mesh)}" proved it knows the code`);
      terminal.note(wordsLine(terminal, step.words));
      return terminal.note("waiting for the operator…");
    case "issued":
      return terminal.done("approved");
    case "stored":
      return;
    default:
      step satisfies never;
  }
}

function waitingLine({ why, message }: Extract<JoinStep, { kind: "waiting" }>): string {
  // The pairing endpoint is closed while no window is open: silence is what to expect.
  if (why === "PAIR_CLOSED" || why === "GATEWAY_UNREACHABLE") return "waiting for an operator to scan it…";
  return `${printable(message)} (${why}); trying again`;
}

function showResult({ terminal }: Context, result: JoinResult, state: string | undefined): void {
  const how = state === undefined ? "" : ` --state ${state}`;
  terminal.result(`✓ paired with mesh "${printable(result.mesh)}" as ${result.deviceId}`);
  terminal.note(`  start with  quaymesh node run${how}`);
}
