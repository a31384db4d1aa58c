import type { GatewayStatus, KeyHolderInfo, PairingRequestInfo, PairingWindow } from "@quaymesh/gateway/client";
import type { QrMatrix } from "../qr/code.ts";
import { qrRows, QUIET_MODULES, type QrLook } from "../qr/text.ts";
import { wrap } from "../report.ts";
import { fit, printable } from "../ui/format.ts";
import type { Terminal } from "../ui/terminal.ts";

/** What the pairing screen shows besides the code. */
export interface PairingScreen {
  readonly status: GatewayStatus;
  readonly window: PairingWindow;
  readonly name: string;
  readonly labels: readonly string[];
  /** The picture that was written, if any. */
  readonly png: string | undefined;
  /** Devices that are let in unasked, where the window is pre-approved. */
  readonly preapprovedUses: number | undefined;
}

/** Columns between the code and the text beside it. */
const GUTTER = 3;
/** Narrowest text that reads well beside the code. */
const NARROWEST_TEXT = 30;

/**
 * The pairing screen for a ticket: the code with the text beside it where there is room, below it otherwise, then the link. A ticket's code takes 19 to
 * 21 rows, so that the question still fits a screen of 24.
 * @returns lines of at most `terminal.columns`, but for the link: a terminal wraps it by itself, and what it wraps can be copied
 */
export function ticketLines(
  terminal: Terminal,
  screen: PairingScreen,
  matrix: QrMatrix,
  look: QrLook,
): readonly string[] {
  const rows = qrRows(matrix, look);
  const width = matrix.size + 2 * QUIET_MODULES;
  const beside = terminal.columns - width - GUTTER;
  if (width > terminal.columns) {
    return [
      ...textFor(screen, terminal.columns),
      "",
      "This terminal is too narrow for the code: use --png FILE, or the link.",
      screen.window.link,
    ];
  }
  if (beside < NARROWEST_TEXT)
    return [...textFor(screen, terminal.columns), ...rows, ...belowCode(screen, terminal.columns)];
  const text = textFor(screen, beside);
  const top = Math.max(0, Math.floor((rows.length - text.length) / 2));
  const lines = rows.map((row, index) => `${row}${" ".repeat(GUTTER)}${text[index - top] ?? ""}`.trimEnd());
  return [...lines, ...belowCode(screen, beside)];
}

/** The link, and the address a PIN is typed at where it did not fit into `columns` of text. */
function belowCode({ window }: PairingScreen, columns: number): readonly string[] {
  const isCut = window.pin !== "" && addressIn(window, columns) === PLACEHOLDER;
  return [window.link, ...(isCut ? [`${PLACEHOLDER} is ${joinAddress(window)}`] : [])];
}

function textFor(screen: PairingScreen, columns: number): readonly string[] {
  const { png, window, preapprovedUses: uses } = screen;
  return [
    ...headLines(screen),
    "Scan the code, or on the device run",
    "  quaymesh node join",
    "and paste the link below.",
    ...(window.pin === ""
      ? []
      : [
          "",
          "Or, with its PIN at the keyboard:",
          `${JOIN}${addressIn(window, columns)}`,
          `  PIN  ${spacedPin(window.pin)}`,
        ]),
    ...(png === undefined
      ? []
      : ["", "Or read the picture there:", `  quaymesh node join --png FILE`, ...wrap(`written to ${png}`, columns)]),
    "",
    ...(uses === undefined
      ? ["One device. Approve it only if both", "screens show the same words."]
      : [
          uses === 1 ? "Pre-approved: the first device that" : `Pre-approved: the first ${uses} devices`,
          uses === 1 ? "comes with it is let in unasked." : "that come with it are let in unasked.",
        ]),
  ].map((line) => fit(line, columns));
}

function headLines({ name, labels, status }: PairingScreen): readonly string[] {
  const as = [name === "" ? "" : `as ${name}`, labels.length === 0 ? "" : `labels ${labels.join(", ")}`].filter(
    (part) => part !== "",
  );
  return [`Pair a device with mesh "${status.meshName}"`, ...(as.length === 0 ? [] : [as.join(", ")]), ""];
}

const JOIN = "  quaymesh node join ";
const PLACEHOLDER = "ADDRESS";
/** The usual port of a pairing endpoint, which need not be typed. */
const USUAL_PORT = ":7421";

/** What is typed at the device, with as little port as there must be. */
function joinAddress({ addresses: [address = PLACEHOLDER] }: PairingWindow): string {
  return address.endsWith(USUAL_PORT) ? address.slice(0, -USUAL_PORT.length) : address;
}

function addressIn(window: PairingWindow, columns: number): string {
  const address = joinAddress(window);
  return JOIN.length + address.length <= columns ? address : PLACEHOLDER;
}

function spacedPin(pin: string): string {
  return `${pin.slice(0, 4)} ${pin.slice(4)}`;
}

/** The pairing screen for a code that the device shows. */
export function nodeCodeLines(screen: PairingScreen): readonly string[] {
  return [...headLines(screen), "The device asks every few seconds and will be here at once.", ""];
}

/** The pairing screen for a PIN. */
export function pinLines({ status, window, name }: PairingScreen): readonly string[] {
  return [
    `Pair ${name === "" ? "a device" : name} with mesh "${status.meshName}"`,
    "",
    "On the device run",
    `${JOIN}${joinAddress(window)}`,
    "and type",
    `  PIN ${spacedPin(window.pin)}`,
    "",
  ];
}

/** Who is asking, and the words to compare. */
export function requestLines(terminal: Terminal, request: PairingRequestInfo): readonly string[] {
  const { remoteAddress, platform, words, holder } = request;
  const who = `${printable(request.name)} is asking, from ${remoteAddress} (${printable(platform)})`;
  const known = holder === undefined ? [] : holderLines(holder, terminal.columns);
  return [fit(who, terminal.columns), ...known, wordsLine(terminal, words)];
}

/** Whose key somebody came with, and what an approval would mean. */
export function holderLines(holder: KeyHolderInfo, columns: number): readonly string[] {
  const { deviceId, name, state } = holder;
  const whose = name === "" ? `device ${deviceId}` : `${printable(name)} (${deviceId})`;
  switch (state) {
    case "paired":
      return wrap(`Its key is that of ${whose}: approved, it is that device again.`, columns);
    case "frozen":
      return wrap(
        `! Its key is that of ${whose}, which is FROZEN: two hold it, or an old copy came back. An approval lets this one in.`,
        columns,
      );
    case "revoked":
      return wrap(
        `! Its key is that of ${whose}, which was REVOKED, and is refused. To let that machine in again, run  quaymesh node leave  on it: with a new key it may ask as a new device.`,
        columns,
      );
    default:
      return state satisfies never;
  }
}

/** The words, the same on both screens. */
export function wordsLine(terminal: Terminal, words: readonly string[]): string {
  return `Both screens must show:   ${terminal.tone("bold", words.map(printable).join("  "))}`;
}
