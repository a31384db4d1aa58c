/** Control and format characters: what could move a terminal's cursor, or turn text around. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text a stranger chose, fit for a terminal: what is not printable shows as `�`. */
export function printable(text: string): string {
  return text.toWellFormed().replaceAll(UNPRINTABLE, "\u{fffd}").trim();
}

/** Whether `text` is printable, at most `maxLength` long, and without white space around it. */
export function isPrintable(text: string, maxLength: number): boolean {
  return text.length <= maxLength && text.trim() === text && printable(text) === text;
}
