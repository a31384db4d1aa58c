/** Numbers and times for people. JSON carries the exact ones. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span such as `0.6 s`, `12 s`, `3 min`, `5 h`, `29 d`. */
export function span(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 1) return `${value.toFixed(2)} ms`;
  if (value < 100) return `${trim(value.toFixed(1))} ms`;
  if (value < 10 * SECOND) return `${trim((value / SECOND).toFixed(1))} s`;
  if (value < 2 * MINUTE) return `${Math.round(value / SECOND)} s`;
  if (value < 2 * HOUR) return `${Math.round(value / MINUTE)} min`;
  if (value < 2 * DAY) return `${Math.round(value / HOUR)} h`;
  return `${Math.floor(value / DAY)} d`;
}

/** A countdown such as `4:58`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / SECOND));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** How long ago `time` was, for a table; `-` when it never was. */
export function ago(time: number | undefined, now: number): string {
  return time === undefined ? "-" : span(Math.max(SECOND, now - time));
}

/** `41.2 MB`, `512 bytes`: powers of ten. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${trim((bytes / 1e3).toFixed(1))} kB`;
  if (bytes < 1e9) return `${trim((bytes / 1e6).toFixed(1))} MB`;
  return `${trim((bytes / 1e9).toFixed(1))} GB`;
}

/** `48 112`: digits in threes, thin enough to read in any locale. */
export function count(value: number | bigint): string {
  return value.toString().replaceAll(/\B(?=(\d{3})+$)/gu, " ");
}

/** An id that people can tell apart and the CLI takes back while it is unique: its last characters are the random ones. */
export function shortId(id: string): string {
  return id.length <= 12 ? id : `${id.slice(0, 4)}…${id.slice(-4)}`;
}

/** `9f:2c:…:e1`: a fingerprint short enough to compare. */
export function shortFingerprint(hex: string): string {
  const pairs = hex.match(/../gu) ?? [];
  return pairs.length <= 8 ? pairs.join(":") : `${pairs.slice(0, 3).join(":")}:…:${pairs.slice(-3).join(":")}`;
}

/** Cut `text` to `columns`, with an ellipsis where something is missing. */
export function fit(text: string, columns: number): string {
  const characters = Array.from(text);
  return characters.length <= columns ? text : `${characters.slice(0, Math.max(0, columns - 1)).join("")}…`;
}

/** Control and format characters, and what breaks lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** More marks on one character than any script has: they reach into the lines around. */
const STACKED = /(\p{M}{4})\p{M}+/gu;

/** What a peer sent, made safe to print: it could draw on the operator's screen, turn text around, or not show at all. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, "\uFFFD").replaceAll(STACKED, "$1");
}

function trim(number: string): string {
  return number.replace(/\.0$/u, "");
}
