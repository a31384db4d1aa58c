import type { PolicyInfo } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, printable } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

interface Options extends CommonOptions {
  readonly history?: number;
}

/** `quaymesh policy show` */
export function policyShowCommand(context: Context): Command {
  return makeCommand("show", {
    summary: "print the policy in force",
    description:
      "Print who may read what of the event log, as JSON that policy set takes back. Each rule gives its readers the events of some kinds from some devices; what no rule gives, no device reads.",
    examples: [
      ["quaymesh policy show > policy.json", "to edit it"],
      ["quaymesh policy show --history 10", "who set which version, newest first"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  })
    .addOption(new Option("--history <n>", "list so many versions instead").argParser(wholeNumber(1, 100)))
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  if (options.history !== undefined) {
    const versions = await gateway.policy.history(options.history, { signal });
    for (const policy of versions) {
      if (options.json) terminal.json(policyJson(policy));
      else terminal.result(versionLine(policy, context.now()));
    }
    if (versions.length === 0 && !options.json) terminal.note("Nobody has set a policy: the default is in force.");
    return;
  }
  const policy = await gateway.policy.get({ signal });
  if (options.json) return terminal.json(policyJson(policy));
  terminal.note(policy.version === 0 ? "the default" : versionLine(policy, context.now()));
  for (const line of policyText(policy.body)) terminal.result(line);
}

/** A policy as `--json` prints it. */
export function policyJson(policy: PolicyInfo): object {
  const { body, ...rest } = withTimes(policy, ["setAt"]);
  return { ...rest, policy: JSON.parse(body) as unknown };
}

/** One rule a line or so, and still JSON. */
function policyText(body: string): readonly string[] {
  const { rules } = JSON.parse(body) as { readonly rules: readonly object[] };
  const lines = rules.map((rule, index) => `    ${JSON.stringify(rule)}${index + 1 < rules.length ? "," : ""}`);
  return ["{", '  "rules": [', ...lines, "  ]", "}"];
}

function versionLine({ version, setBy, setAt }: PolicyInfo, now: number): string {
  return `version ${version}, set ${ago(setAt, now)} ago by ${printable(setBy)}`;
}
