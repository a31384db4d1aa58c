import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { Option, type Command } from "commander";
import { makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printable } from "../ui/format.ts";
import { policyJson } from "./policy-show.ts";
import { filterText } from "./events-subscriptions.ts";

interface SetOptions extends CommonOptions {
  readonly expect?: number;
}

interface CheckOptions extends CommonOptions {
  readonly file?: string;
}

/** `quaymesh policy set FILE` */
export function policySetCommand(context: Context): Command {
  return makeCommand("set <file>", {
    summary: "put a policy in force",
    description:
      "Put the policy in FILE (- is stdin) in force, at once and for subscriptions that run too. Each version is kept with who set it and when. Undo it by setting the one before: quaymesh policy show --history 2 --json",
    examples: [
      ["quaymesh policy set policy.json", "in place of the one in force"],
      ["quaymesh policy set policy.json --expect 4", "only if version 4 is still in force"],
    ],
    exits: [3, 4, 30, 41],
    state: "gateway",
  })
    .addOption(
      new Option("--expect <version>", "refuse where another is in force").argParser(
        wholeNumber(0, Number.MAX_SAFE_INTEGER),
      ),
    )
    .action((file: string, options: SetOptions) => set(context, file, options));
}

/** `quaymesh policy check DEVICE` */
export function policyCheckCommand(context: Context): Command {
  return makeCommand("check <device>", {
    summary: "say what a device may read",
    description:
      "Say what of the event log a device may read, by the policy in force or, with --file, by one that is not. Nothing is changed.",
    examples: [
      ["quaymesh policy check nas", "by the policy in force"],
      ["quaymesh policy check nas --file policy.json", "before it is set"],
    ],
    exits: [3, 4, 5, 30],
    state: "gateway",
  })
    .addOption(new Option("--file <file>", "by the policy in this file; - is stdin"))
    .action((device: string, options: CheckOptions) => check(context, device, options));
}

async function set(context: Context, file: string, options: SetOptions): Promise<void> {
  const { terminal, signal } = context;
  const body = await readPolicy(context, file);
  await using gateway = await connectOperator(context, options);
  const expected = options.expect ?? (await gateway.policy.get({ signal })).version;
  const policy = await gateway.policy.set(body, expected, { signal });
  if (options.json) terminal.json(policyJson(policy));
  else terminal.done(`policy ${policy.version} is in force`);
}

async function check(context: Context, name: string, options: CheckOptions): Promise<void> {
  const { terminal, signal } = context;
  const body = options.file === undefined ? undefined : await readPolicy(context, options.file);
  await using gateway = await connectOperator(context, options);
  const ids = async () => (await gateway.devices.list({ signal })).map(({ id }) => id);
  const device = await expandId(name, ids);
  const access = await gateway.policy.check(device, { signal, ...(body !== undefined && { body }) });
  if (options.json) return terminal.json(access);
  const who = printable(access.deviceName === "" ? access.deviceId : access.deviceName);
  const labels = access.labels.length === 0 ? "no labels" : printable(access.labels.join(", "));
  terminal.note(`${who} (${labels}) reads ${access.grants.length === 0 ? "nothing" : "what passes one of:"}`);
  for (const grant of access.grants) terminal.result(`  ${filterText(grant)}`);
}

async function readPolicy(context: Context, file: string): Promise<string> {
  if (file === "-") return await text(context.terminal.streams.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `${file} cannot be read`, { cause, hint: "Name the file with the policy." });
  }
}
