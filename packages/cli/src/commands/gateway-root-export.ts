import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { connectOperator } from "../operator.ts";
import { newPassphrase } from "../sealing.ts";
import { confirm } from "../ui/ask.ts";
import { shortFingerprint } from "../ui/format.ts";
import { rootJson } from "./gateway-root-show.ts";

interface Options extends CommonOptions {
  readonly to: string;
  readonly passphraseFile?: string;
  readonly remove: boolean;
  readonly yes: boolean;
}

/** `quaymesh gateway root export --to FILE` */
export function gatewayRootExportCommand(context: Context): Command {
  return makeCommand("export", {
    summary: "put the root's key into a file that a passphrase opens",
    description:
      "Write the key of the mesh's newest root to a new file, encrypted with a passphrase (Argon2id, AES-256-GCM), and read it back. With --remove the gateway then forgets it: it goes on with its issuing intermediate, and only " +
      "renew-issuing and rotate ask for the file again. Who has file and passphrase can make certificates of this mesh: keep them apart, and neither on this machine. Lost, they cost nothing until the intermediate ends.",
    examples: [
      ["quaymesh gateway root export --to /media/stick/harbor-root.json", "a copy; the key stays"],
      ["quaymesh gateway root export --to /media/stick/harbor-root.json --remove", "take it offline"],
    ],
    exits: [3, 4, 5, 18, 26, 30, 36, 38],
    state: "gateway",
  })
    .requiredOption("--to <file>", "where to; it must not exist")
    .option("--passphrase-file <file>", "the passphrase, one line; - is standard input (default: asked for)")
    .option("--remove", "then take the key off the gateway", false)
    .option("-y, --yes", "do not ask before it is removed", false)
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const { openRootKey, writeFileAtomic } = await import("@quaymesh/identity");
  await using gateway = await connectOperator(context, options);
  const root = (await gateway.mesh.root({ signal })).roots.at(-1);
  const passphrase = await newPassphrase(context, options.passphraseFile);
  const path = resolve(options.to);
  await writeFileAtomic(path, await gateway.mesh.exportRootKey(passphrase.reveal(), { signal }), { replace: false });
  // What lies there counts, not what was meant to: only then may the other copy go.
  const key = await openRootKey(await readFile(path, "utf8"), passphrase);
  const fingerprint = Buffer.from(key.spkiSha256).toString("hex");
  if (fingerprint !== root?.fingerprint) throw new CliError("ROOT_KEY_WRONG", `${path} holds the key of another root`);
  if (!options.json) terminal.result(`✓ the key of root ${shortFingerprint(fingerprint)} is in ${path}, read back`);
  if (options.remove && !options.yes) {
    if (!(await confirm(context, "Take it off this gateway now?", { flag: "--yes" }))) {
      throw new CliError("DECLINED", "the key stays on the gateway too");
    }
  }
  const after = options.remove ? await gateway.mesh.removeRootKey(fingerprint, { signal }) : undefined;
  if (options.json)
    terminal.json({ file: path, fingerprint, removed: after !== undefined, ...(after && rootJson(after)) });
  else if (after !== undefined)
    terminal.result("✓ the gateway does not have it any more; keep the file and its passphrase apart");
}
