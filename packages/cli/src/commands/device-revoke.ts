import type { DeviceSelector, GatewayClient, Receipt, RevocationPreview } from "@quaymesh/gateway/client";
import { InvalidArgumentError, Option, type Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { revokeMany, windowLines } from "./device-revoke-many.ts";
import { connectOperator, expandId } from "../operator.ts";
import { confirm } from "../ui/ask.ts";
import { count, printable, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

interface Options extends CommonOptions {
  readonly label?: string;
  readonly issuedBefore?: number;
  readonly reason: string;
  readonly yes: boolean;
}

/** `quaymesh device revoke DEVICE` */
export function deviceRevokeCommand(context: Context): Command {
  return makeCommand("revoke [device]", {
    summary: "cut a device off, or many, now",
    description:
      "Cut a device off: its sessions close, its running work is fenced, and its certificate is refused in the handshake from then on. Pre-approved codes by which it came in end for all. " +
      "Prints a receipt. A revocation cannot be undone; to use the machine again, pair it again.",
    examples: [
      ["quaymesh device revoke build-box --reason sold", "shows what it will cut, and asks"],
      ["quaymesh device revoke --label lab-3", "all of them; shows what it will cut, and asks"],
      [
        "quaymesh device revoke --issued-before 2026-11-02T08:00Z",
        "whose certificate is older: after rotate --all, who has not followed",
      ],
      ["quaymesh device revoke build-box --yes --json", "for programs: does not ask"],
    ],
    exits: [3, 4, 5, 30],
    state: "gateway",
  })
    .option("--label <label>", "every device with this label")
    .addOption(
      new Option("--issued-before <time>", "every device whose newest certificate was issued before this").argParser(
        moment,
      ),
    )
    .option("--reason <text>", "why, for the record", "")
    .option("-y, --yes", "do not ask", false)
    .action((device: string | undefined, options: Options) => run(context, device, options));
}

function moment(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError("Give a time such as 2026-11-02T08:00Z.");
  return at;
}

/** Which devices are meant, where not one by name. @throws {CliError} `USAGE` unless exactly one way is given */
function selectorOf(name: string | undefined, { label, issuedBefore }: Options): DeviceSelector | undefined {
  const chosen = [name, label, issuedBefore].filter((each) => each !== undefined).length;
  if (chosen !== 1) throw new CliError("USAGE", "give a device, --label or --issued-before, one of them");
  if (label !== undefined) return { label };
  return issuedBefore === undefined ? undefined : { issuedBefore };
}

async function run(context: Context, name: string | undefined, options: Options): Promise<void> {
  const selector = selectorOf(name, options);
  await using gateway = await connectOperator(context, options);
  if (selector !== undefined) return await revokeMany(context, gateway, selector, options);
  await revokeOne(context, gateway, name ?? "", options);
}

async function revokeOne(context: Context, gateway: GatewayClient, name: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const id = await expandId(name, async () => (await gateway.devices.list({ signal })).map((device) => device.id));
  const preview = await gateway.devices.previewRevocation(id, { signal });
  // The id from here on: a name could move to another device while someone thinks about the question.
  const device = preview.device.id;
  if (preview.device.state === "revoked") {
    if (!options.json) terminal.note(`${printable(preview.device.name)} is revoked already; this is its receipt.`);
  } else if (!options.yes) {
    terminal.note(blastRadius(preview));
    if (!(await confirm(context, "Go on?", { flag: "--yes" }))) throw new CliError("DECLINED", "nothing was changed");
  }
  const receipt = await gateway.devices.revoke(device, { reason: options.reason, signal });
  if (options.json) terminal.json(withTimes(receipt, ["revokedAt"]));
  else for (const line of receiptLines(receipt)) terminal.result(line);
}

/** What a revocation will cut, in a sentence. */
export function blastRadius({ device, sessions, runningTasks, queuedTasks }: RevocationPreview): string {
  const name = printable(device.name === "" ? device.id : device.name);
  return `This will cut ${plural(sessions, "session")} of ${name}, stop ${runningTasks} running and ${plural(queuedTasks, "queued task")}.`;
}

/** The receipt, for people. */
export function receiptLines(receipt: Receipt): readonly string[] {
  return [
    `✓ ${printable(receipt.deviceName === "" ? receipt.deviceId : receipt.deviceName)} revoked at epoch ${receipt.revocationEpoch}`,
    `  ${plural(receipt.sessionsClosed, "session")} closed in ${span(receipt.closedMs)}, ${plural(receipt.attemptsFenced, "attempt")} fenced, ` +
      `last event accepted ${count(receipt.lastSeq)}`,
    ...windowLines(receipt.windowsClosed),
    `  receipt ${receipt.receiptId}`,
  ];
}

function plural(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
