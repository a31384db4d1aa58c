import type { GatewayClient, PairingWindow } from "@quaymesh/gateway/client";
import { InvalidArgumentError, Option, type Command } from "commander";
import { warnOfArgument } from "../argv-secrets.ts";
import { list, makeCommand, seconds } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { connectOperator } from "../operator.ts";
import type { QrMatrix } from "../qr/code.ts";
import { qrRows, type QrLook } from "../qr/text.ts";
import { printable } from "../ui/format.ts";
import { readAnswer } from "../ui/ask.ts";
import { readLine } from "../ui/secret.ts";
import { pairCancelCommand } from "./pair-cancel.ts";
import { pairApproveCommand, pairDenyCommand } from "./pair-decide.ts";
import { followWindow } from "./pair-follow.ts";
import { pairListCommand } from "./pair-list.ts";
import { nodeCodeLines, pinLines, ticketLines, type PairingScreen } from "./pair-view.ts";

/** Options of `quaymesh pair`. */
export interface PairOptions extends CommonOptions {
  readonly name: string;
  readonly labels?: readonly string[];
  readonly purpose: string;
  readonly device?: string;
  readonly ttl: number;
  /** `--pin`: a PIN alone; `--no-pin`: none. */
  readonly pin?: boolean;
  readonly scan?: string;
  readonly png?: string;
  readonly svg?: string;
  readonly autoApprove: boolean;
  readonly uses: number;
  readonly detach: boolean;
  readonly invert: boolean;
}

/** Life of a window, seconds. */
const DEFAULT_TTL = 300;
const MIN_TTL = 10;
/** Longest life of a window that somebody watches, and of one that is pre-approved. */
const MAX_TTL = 3600;
const MAX_PREAPPROVED_TTL = 604_800;
/** What an argument that is a code begins with. */
const CODE = /^\s*QUAYNODE:/iu;
/** How long closing the window may take once someone wants to leave. */
const CLOSE_TIMEOUT_MS = 2000;

/** `quaymesh pair`, and its `list`, `approve`, `deny` and `cancel` */
export function pairCommand(context: Context): Command {
  const command = makeCommand("pair [code]", {
    summary: "pair a device: show a QR code, approve who comes",
    description:
      "Open a pairing window and show its codes: a QR code, its link, and a PIN. When a device comes with one, compare the four words on both screens and approve; whoever is not " +
      "approved is denied. A device that shows a code itself (quaymesh node join --show) is scanned instead, or its code is read from standard input (-): every user of a machine can read the arguments of its processes. The window closes with its device, after its time, or with Ctrl-C. With " +
      "--auto-approve the gateway lets in who proves the code, unasked, also after this command has left and over restarts.",
    examples: [
      ["quaymesh pair --name build-box --labels gpu,linux", "the name and labels the device will have"],
      ["quaymesh pair --png code.png", "also as a picture, for  quaymesh node join --png code.png"],
      ["quaymesh pair -", "a device that shows its own code, pasted at a prompt; or  --scan photo.png"],
      ["quaymesh pair --auto-approve --uses 20 --ttl 1d --labels ci --detach", "a ticket for twenty machines"],
      ["quaymesh pair --json", "for programs: one JSON value a line; approve with  quaymesh pair approve"],
    ],
    exits: [3, 4, 6, 10, 12, 14, 15, 30, 130],
    state: "gateway",
  })
    .option("--name <name>", "what the device will be called; wins over its own name", "")
    .addOption(
      new Option("--labels <labels>", "labels the device will have, for  task run --on label:X").argParser(list),
    )
    .option("--purpose <text>", "what the device is for, for people", "")
    .addOption(
      new Option("--ttl <time>", "how long the window is open, such as 90s or 5m; to 1h, or 7d with --auto-approve")
        .argParser(seconds(MIN_TTL, MAX_PREAPPROVED_TTL))
        .default(DEFAULT_TTL, "5m"),
    )
    .option("--device <device>", "pair this device again: it stays the same one, also with a new key")
    .option("--pin", "make a PIN alone, and no QR code")
    .option("--no-pin", "make a QR code and link alone: no eight digits to guess")
    .option("--scan <file>", "read the code that a device shows from a PNG")
    .option("--png <file>", "also write the code as a PNG, readable by you alone")
    .option("--svg <file>", "also write the code as an SVG, readable by you alone")
    .option("--invert", "draw dark blocks, for a light screen without colour", false)
    .option("--auto-approve", "dangerous: the gateway lets in whoever comes with the link, words unseen", false)
    .addOption(new Option("--uses <n>", "with --auto-approve: devices to let in").argParser(wholeNumber).default(1))
    .option("--detach", "print the codes and leave; the window stays open", false);
  command.addCommand(pairListCommand(context));
  command.addCommand(pairApproveCommand(context));
  command.addCommand(pairDenyCommand(context));
  command.addCommand(pairCancelCommand(context));
  return command.action((code: string | undefined, options: PairOptions) => run(context, code, options));
}

async function run(context: Context, code: string | undefined, options: PairOptions): Promise<void> {
  const nodeCode = await nodeCodeFrom(context, code, options);
  checkOptions(options, nodeCode);
  await using gateway = await connectOperator(context, options);
  const window = await gateway.pairing.open({
    name: options.name,
    labels: options.labels ?? [],
    purpose: options.purpose,
    ...(options.device !== undefined && { device: options.device }),
    ttlMs: options.ttl * 1000,
    code: options.pin === true ? "pin" : options.pin === false || options.autoApprove ? "ticket" : "both",
    ...(nodeCode !== undefined && { nodeCode }),
    preapproved: options.autoApprove,
    uses: options.uses,
    signal: context.signal,
  });
  let stays = false;
  try {
    await writePictures(window, options);
    await announce(context, gateway, window, options);
    stays = options.autoApprove || options.detach;
    if (options.detach) return sayHowToClose(context, window, options);
    await followWindow(context, gateway, window, options);
    stays = true;
  } finally {
    // A window nobody watches would let a device wait for an answer that never comes.
    if (!stays) {
      await gateway.pairing.close(window.windowId, { signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) }).catch(() => {});
    } else if (context.signal.aborted) sayHowToClose(context, window, options);
  }
}

function sayHowToClose({ terminal }: Context, { windowId }: PairingWindow, { json }: PairOptions): void {
  if (!json) terminal.note(`The window stays open; close it with:  quaymesh pair cancel ${windowId}`);
}

/** The code that a device shows: as an argument, from a picture, or from standard input. */
async function nodeCodeFrom(
  context: Context,
  code: string | undefined,
  { scan, json }: PairOptions,
): Promise<string | undefined> {
  if (scan === undefined && code === undefined) return undefined;
  if (scan !== undefined && code !== undefined) throw usage("a picture and a code were given", "Give one of them.");
  if (code !== undefined && code !== "-" && !CODE.test(code)) {
    throw usage(
      `there is no "pair ${printable(code.slice(0, 40))}"`,
      "Give what a device shows at the prompt of  quaymesh pair -  or see:  quaymesh pair --help",
    );
  }
  if (code !== undefined && code !== "-" && !json) warnOfArgument(context.terminal, "quaymesh pair -");
  const { parseOwnCode } = await import("@quaymesh/identity");
  const text = await readCode(context, code, scan);
  try {
    parseOwnCode(text).secret.erase();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const hint =
      "Copy the whole code from the device, from QUAYNODE: to its end, or photograph it and read it with  --scan FILE";
    throw Object.assign(cause, { hint });
  }
  return text.trim();
}

async function readCode(context: Context, code: string | undefined, scan: string | undefined): Promise<string> {
  if (scan !== undefined) {
    const { readQrPng } = await import("../qr/picture.ts");
    return await readQrPng(scan);
  }
  const { terminal, signal } = context;
  if (code !== "-") return code ?? "";
  if (terminal.interactive) return await readAnswer(context, "The code that the device shows: ", signal);
  return await readLine(terminal.streams.stdin, signal);
}

function checkOptions({ uses, ttl, autoApprove, pin, png, svg }: PairOptions, nodeCode: string | undefined): void {
  if (ttl > MAX_TTL && !autoApprove) {
    throw usage(
      `--ttl is at most ${MAX_TTL} seconds where nothing is approved beforehand`,
      "Give a time such as 90s, 5m or 1h.",
    );
  }
  if (uses > 1 && !autoApprove) throw usage("--uses is for a pre-approved window", "Add --auto-approve.");
  if (autoApprove && pin === true) {
    throw usage("a pre-approved window has no PIN: eight digits can be guessed", "Leave out --pin or --auto-approve.");
  }
  if (nodeCode !== undefined && uses > 1) throw usage("a device's own code is for that device", "Leave out --uses.");
  if (nodeCode !== undefined && (pin === true || png !== undefined || svg !== undefined)) {
    throw usage("the device shows the code: this side makes none", "Leave out --pin, --png and --svg.");
  }
}

function usage(message: string, hint: string): CliError {
  return new CliError("USAGE", message, { hint });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,4}$/u.test(text) || value < 1) throw new InvalidArgumentError("Give a number of devices, such as 20.");
  return value;
}

async function writePictures(window: PairingWindow, { png, svg }: PairOptions): Promise<void> {
  if (window.link === "" || (png === undefined && svg === undefined)) return;
  const { writeQrPng, writeQrSvg } = await import("../qr/picture.ts");
  if (png !== undefined) await writeQrPng(png, window.link);
  if (svg !== undefined) await writeQrSvg(svg, window.link);
}

async function announce(
  context: Context,
  gateway: GatewayClient,
  window: PairingWindow,
  options: PairOptions,
): Promise<void> {
  const { terminal, signal } = context;
  const screen: PairingScreen = {
    status: await gateway.status({ signal }),
    window,
    name: options.name,
    labels: options.labels ?? [],
    png: options.png,
    preapprovedUses: options.autoApprove ? options.uses : undefined,
  };
  const matrix = window.link === "" ? undefined : await codeOf(window.link);
  if (options.json) {
    const rows = matrix === undefined ? 0 : qrRows(matrix, "light-blocks").length;
    const expiresAt = window.expiresAt === undefined ? null : new Date(window.expiresAt).toISOString();
    terminal.json({
      state: "open",
      ...window,
      expiresAt,
      mesh: screen.status.meshName,
      qrRows: rows,
      png: options.png ?? null,
      preapproved: options.autoApprove,
      uses: options.uses,
    });
    return;
  }
  const look: QrLook = terminal.colour ? "coloured" : options.invert ? "dark-blocks" : "light-blocks";
  const lines =
    matrix !== undefined
      ? ticketLines(terminal, screen, matrix, look)
      : window.pin === ""
        ? nodeCodeLines(screen)
        : pinLines(screen);
  for (const line of lines) terminal.note(line);
}

// Loaded on demand, as all commands pay for what one of them loads.
async function codeOf(link: string): Promise<QrMatrix> {
  const { encodeQr } = await import("../qr/code.ts");
  return encodeQr(link);
}
