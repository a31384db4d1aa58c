/** Pairing codes are secrets for the minutes they live, and every user of a machine can read what a process was started with. */
import type { Terminal } from "./ui/terminal.ts";

/** A ticket's link, or the code that a device shows. */
const CODE = /^\s*QUAY(?:NODE)?:/iu;

/** What the list of processes is to show of a command: `undefined` where no code is in it. @param args the words after `quaymesh` */
export function coveredTitle(args: readonly string[]): string | undefined {
  if (!args.some((arg) => CODE.test(arg))) return undefined;
  return ["quaymesh", ...args.map((arg) => (CODE.test(arg) ? "…" : arg))].join(" ");
}

/** Say that a code came as an argument, and how it would not have. */
export function warnOfArgument(terminal: Terminal, instead: string): void {
  terminal.note(
    `${terminal.tone("yellow", "!")} Other users of this machine may have seen that code in the list of processes.`,
  );
  terminal.note(`  Next time paste it at the prompt of  ${instead}`);
}
