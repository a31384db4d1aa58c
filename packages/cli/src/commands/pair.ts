import type { GatewayClient, PairingWindow } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { list, makeCommand, seconds } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import type { QrMatrix } from "../qr/code.ts";
import { qrRows, type QrLook } from "../qr/text.ts";
import { pairApproveCommand, pairDenyCommand } from "./pair-decide.ts";
import { followWindow } from "./pair-follow.ts";
import { pairListCommand } from "./pair-list.ts";
import { pinLines, ticketLines, type PairingScreen } from "./pair-view.ts";

/** Options of `quaymesh pair`. */
export interface PairOptions extends CommonOptions {
  readonly name: string;
  readonly labels?: readonly string[];
  readonly purpose: string;
  readonly device?: string;
  readonly ttl: number;
  readonly pin: boolean;
  readonly png?: string;
  readonly svg?: string;
  readonly autoApprove: boolean;
  readonly invert: boolean;
}

/** Life of a window, seconds. */
const DEFAULT_TTL = 300;
const MIN_TTL = 10;
const MAX_TTL = 3600;
/** How long closing the window may take once someone wants to leave. */
const CLOSE_TIMEOUT_MS = 2000;

/** `quaymesh pair`, and its `list`, `approve` and `deny` */
export function pairCommand(context: Context): Command {
  const command = makeCommand("pair", {
    summary: "pair a device: show a QR code, approve who comes",
    description:
      "Open a pairing window and show its code, as a QR code and as a link, or with --pin as eight digits. When a device comes with it, compare the four " +
      "words on both screens and approve; whoever is not approved is denied. The window closes with the first device, after its time, or with Ctrl-C.",
    examples: [
      ["quaymesh pair --name build-box --labels gpu,linux", "the name and labels the device will have"],
      ["quaymesh pair --png code.png", "also as a picture, for  quaymesh node join --png code.png"],
      ["quaymesh pair --pin", "eight digits to type, where nothing can be scanned or pasted"],
      ["quaymesh pair --json", "for programs: one JSON value a line; approve with  quaymesh pair approve"],
    ],
    exits: [3, 4, 6, 12, 14, 15, 30, 130],
    state: "gateway",
  })
    .option("--name <name>", "what the device will be called; wins over its own name", "")
    .addOption(
      new Option("--labels <labels>", "labels the device will have, for  task run --on label:X").argParser(list),
    )
    .option("--purpose <text>", "what the device is for, for people", "")
    .addOption(
      new Option("--ttl <time>", "how long the window is open, such as 90s or 5m")
        .argParser(seconds(MIN_TTL, MAX_TTL))
        .default(DEFAULT_TTL, "5m"),
    )
    .option("--device <device>", "pair this device again: it stays the same one, also with a new key")
    .option("--pin", "make a PIN instead of a code", false)
    .option("--png <file>", "also write the code as a PNG, readable by you alone")
    .option("--svg <file>", "also write the code as an SVG, readable by you alone")
    .option("--invert", "draw dark blocks, for a light screen without colour", false)
    .option("--auto-approve", "dangerous: let in whoever comes with the code, words unseen", false);
  command.addCommand(pairListCommand(context));
  command.addCommand(pairApproveCommand(context));
  command.addCommand(pairDenyCommand(context));
  return command.action((options: PairOptions) => run(context, options));
}

async function run(context: Context, options: PairOptions): Promise<void> {
  await using gateway = await connectOperator(context, options);
  const window = await gateway.pairing.open({
    name: options.name,
    labels: options.labels ?? [],
    purpose: options.purpose,
    ...(options.device !== undefined && { device: options.device }),
    ttlMs: options.ttl * 1000,
    code: options.pin ? "pin" : "ticket",
    signal: context.signal,
  });
  let ended = false;
  try {
    await writePictures(window, options);
    await announce(context, gateway, window, options);
    await followWindow(context, gateway, window, options);
    ended = true;
  } finally {
    // A window nobody watches would let a device wait for an answer that never comes.
    if (!ended) {
      await gateway.pairing.close(window.windowId, { signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) }).catch(() => {});
    }
  }
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
    });
    return;
  }
  const look: QrLook = terminal.colour ? "coloured" : options.invert ? "dark-blocks" : "light-blocks";
  const lines = matrix === undefined ? pinLines(screen) : ticketLines(terminal, screen, matrix, look);
  for (const line of lines) terminal.note(line);
}

// Loaded on demand, as all commands pay for what one of them loads.
async function codeOf(link: string): Promise<QrMatrix> {
  const { encodeQr } = await import("../qr/code.ts");
  return encodeQr(link);
}
