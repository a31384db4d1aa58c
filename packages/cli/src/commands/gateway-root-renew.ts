import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { givenRootKey, type RootKeyOptions } from "../root-key.ts";
import { rootJson } from "./gateway-root-show.ts";

/** `quaymesh gateway root renew-issuing` */
export function gatewayRootRenewCommand(context: Context): Command {
  return makeCommand("renew-issuing", {
    summary: "make another issuing intermediate below the root",
    description:
      "Make another issuing intermediate, with a new key, and issue with it from now on. What the one before has issued stays good, and nodes need not be told: they trust the root. The gateway does this by itself two years before the end where it has the root's key.",
    examples: [
      ["quaymesh gateway root renew-issuing", "with the root's key on the gateway"],
      ["quaymesh gateway root renew-issuing --root-key harbor-root.json", "with the root's key offline"],
    ],
    exits: [3, 4, 5, 26, 30, 36, 38],
    state: "gateway",
  })
    .option("--root-key <file>", "the root's key, as exported")
    .option("--passphrase-file <file>", "its passphrase, one line; - is standard input (default: asked for)")
    .action(async (options: CommonOptions & RootKeyOptions) => {
      await using gateway = await connectOperator(context, options);
      const given = await givenRootKey(context, options);
      const root = await gateway.mesh.renewIssuing({ ...given, signal: context.signal });
      const until = root.roots.at(-1)?.issuingNotAfter;
      if (options.json) context.terminal.json(rootJson(root));
      else
        context.terminal.result(
          `✓ a new intermediate issues from now on, until ${new Date(until ?? 0).toISOString().slice(0, 10)}`,
        );
    });
}
