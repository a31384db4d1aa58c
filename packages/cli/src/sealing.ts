/** What opens a gateway's sealed keys, as a command line and systemd say it. A passphrase never comes from an argument or a variable, which other users and child processes can see. */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { NewSealing, SealingSource } from "@quaymesh/gateway";
import type { SealingKey, Secret } from "@quaymesh/identity";
import { Option, type Command } from "commander";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { readLine, readSecret } from "./ui/secret.ts";

/** Flags of {@link addSealingOptions}. */
export interface SealingFlags {
  readonly sealingKey?: string;
  readonly passphraseFile?: string;
}

/** Names of systemd credentials: 32 bytes, or a line of text. */
const KEY_CREDENTIAL = "quaymesh-sealing-key";
const PASSPHRASE_CREDENTIAL = "quaymesh-passphrase";
/** A passphrase is what stands between a stolen disk and the mesh. */
const LEAST_PASSPHRASE_CHARACTERS = 12;
const MAX_PASSPHRASE_BYTES = 4096;

/** Flags of {@link addNewSealingOptions}. */
export interface NewSealingFlags {
  readonly toKey?: string | true;
  readonly toPassphrase?: true;
  readonly toPassphraseFile?: string;
}

/** The flags that say what is to seal the keys from then on. */
export function addNewSealingOptions(command: Command): Command {
  return command
    .option("--to-key [file]", "seal with this key file (default: authority.key in the state directory)")
    .option("--to-passphrase", "seal with a passphrase, asked for twice")
    .option("--to-passphrase-file <file>", "seal with the passphrase in this file, 0600; - is standard input");
}

/** What is to seal the keys; undefined where nothing is said. @throws {CliError} `USAGE`, `INPUT_INVALID` */
export async function newSealing(
  context: Context,
  flags: NewSealingFlags,
  state: string,
): Promise<NewSealing | undefined> {
  const { toKey, toPassphrase, toPassphraseFile } = flags;
  const chosen = [toKey, toPassphrase, toPassphraseFile].filter((each) => each !== undefined).length;
  if (chosen > 1) throw new CliError("USAGE", "give one of --to-key, --to-passphrase and --to-passphrase-file");
  if (chosen === 0) return undefined;
  if (toKey === undefined) return { kind: "passphrase", passphrase: await newPassphrase(context, toPassphraseFile) };
  return { kind: "key-file", path: toKey === true ? resolve(state, "authority.key") : resolve(toKey) };
}

/** The flags that say what opens the sealed keys. */
export function addSealingOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--sealing-key <file>", "the key that seals the authority, where it is kept elsewhere").conflicts(
        "passphraseFile",
      ),
    )
    .option("--passphrase-file <file>", "the passphrase that seals it; - is standard input (default: asked for)");
}

/**
 * Flags first, then systemd's credentials, then a prompt where the keys need one.
 * @param state the gateway's state directory
 * @throws {CliError} `FILE_NOT_FOUND`, `INPUT_INVALID`; {IdentityError} `STORE_*`
 */
export async function sealingSource(context: Context, flags: SealingFlags, state: string): Promise<SealingSource> {
  const { readKeyFile, readSealing } = await import("@quaymesh/identity");
  if (flags.sealingKey !== undefined) return { sealingKey: await readKeyFile(resolve(flags.sealingKey)) };
  if (flags.passphraseFile !== undefined) {
    const secret = await readPassphraseFile(context, flags.passphraseFile);
    return { passphrase: () => Promise.resolve(secret) };
  }
  const given = await credential(context);
  if (given !== undefined) return given;
  const sealing = await readSealing(join(resolve(state), "authority"));
  if (sealing.kind === "key" || !context.terminal.interactive) return {};
  return { passphrase: () => askPassphrase(context, "Passphrase: ") };
}

/** The text of a file that nobody else may read, or of standard input. @throws {CliError} `FILE_NOT_FOUND`, `INPUT_INVALID`; {IdentityError} `STORE_PERMISSIONS` */
export async function readPassphraseFile(context: Context, path: string): Promise<Secret<string>> {
  const { assertPrivate } = await import("@quaymesh/identity");
  if (path === "-") return await secretOf(await readLine(context.terminal.streams.stdin, context.signal), path);
  let isFile: boolean;
  try {
    isFile = (await stat(path)).isFile();
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `there is no ${path}`, { cause });
  }
  // A pipe is whoever's who holds its ends.
  if (isFile) await assertPrivate(path);
  return await secretOf((await readFile(path)).toString("utf8"), path);
}

/** Ask at the terminal. @throws {CliError} `INPUT_INVALID`, `USAGE` when nothing comes */
export async function askPassphrase(context: Context, prompt: string): Promise<Secret<string>> {
  return await secretOf(await readSecret(context, prompt), "the answer");
}

/** Ask for a new one, twice, or read it. @throws {CliError} `INPUT_INVALID` for a short one, or two that differ; `USAGE` where nobody is there to ask */
export async function newPassphrase(context: Context, file: string | undefined): Promise<Secret<string>> {
  if (file !== undefined) return longEnough(await readPassphraseFile(context, file));
  if (!context.terminal.interactive) {
    throw new CliError("USAGE", "nobody is at this terminal to ask for a passphrase", {
      hint: "Name a file that holds it.",
    });
  }
  const first = longEnough(await askPassphrase(context, "New passphrase: "));
  const second = await askPassphrase(context, "Once more: ");
  if (first.reveal() !== second.reveal()) throw new CliError("INPUT_INVALID", "the two passphrases differ");
  return first;
}

function longEnough(secret: Secret<string>): Secret<string> {
  if (secret.reveal().length >= LEAST_PASSPHRASE_CHARACTERS) return secret;
  throw new CliError("INPUT_INVALID", `a passphrase has ${LEAST_PASSPHRASE_CHARACTERS} characters at least`, {
    hint: "Five or six words drawn by chance are good, and can be remembered.",
  });
}

async function secretOf(text: string, from: string): Promise<Secret<string>> {
  const { Secret } = await import("@quaymesh/identity");
  const line = text.replace(/\r?\n$/u, "");
  if (line === "" || line.includes("\n") || Buffer.byteLength(line) > MAX_PASSPHRASE_BYTES) {
    throw new CliError("INPUT_INVALID", `${from} does not hold one line of at most ${MAX_PASSPHRASE_BYTES} bytes`);
  }
  return new Secret(line);
}

/** systemd shows credentials to the service alone, by an ACL that the mode bits do not tell: so they are not looked at. */
async function credential(context: Context): Promise<SealingSource | undefined> {
  const directory = context.terminal.streams.env["CREDENTIALS_DIRECTORY"];
  if (directory === undefined || directory === "") return undefined;
  const key = await readIfThere(join(directory, KEY_CREDENTIAL));
  if (key !== undefined) return { sealingKey: await wrap(key) };
  const text = await readIfThere(join(directory, PASSPHRASE_CREDENTIAL));
  if (text === undefined) return undefined;
  const secret = await secretOf(text.toString("utf8"), `the credential ${PASSPHRASE_CREDENTIAL}`);
  return { passphrase: () => Promise.resolve(secret) };
}

async function wrap(bytes: Buffer): Promise<SealingKey> {
  const { sealingKey } = await import("@quaymesh/identity");
  const key = sealingKey(bytes);
  bytes.fill(0);
  return key;
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new CliError("STATE_PERMISSIONS", `the credential ${path} cannot be read`, { cause });
  }
}
