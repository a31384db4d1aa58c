import type { CloseInfo } from "@quaymesh/protocol";
import { closeText, refusalName } from "./close-name.ts";
import { exitFor } from "./exit-codes.ts";
import { HINTS } from "./hints.ts";

/**
 * Codes of {@link CliError}. The person's: `USAGE`, `NOT_FOUND`, `FILE_NOT_FOUND`, `PICTURE_UNREADABLE`, `TICKET_UNREADABLE`, `INPUT_INVALID`,
 * `DEFINITIONS_INVALID`, `STATE_MISSING`, `ROOT_KEY_WRONG`; the machine's: `STATE_PERMISSIONS`; what became of a pairing: `PAIR_*`; of a task: `TASK_*`; a person's
 * decision: `INTERRUPTED`, `DECLINED`.
 */
export type CliErrorCode =
  | "USAGE"
  | "NOT_FOUND"
  | "FILE_NOT_FOUND"
  | "PICTURE_UNREADABLE"
  | "TICKET_UNREADABLE"
  | "INPUT_INVALID"
  | "DEFINITIONS_INVALID"
  | "STATE_MISSING"
  | "STATE_PERMISSIONS"
  | "ROOT_KEY_WRONG"
  | "PAIR_DENIED"
  | "PAIR_EXPIRED"
  | "PAIR_BURNT"
  | "PAIR_CLOSED"
  | "TASK_FAILED"
  | "TASK_CANCELLED"
  | "TASK_TIMED_OUT"
  | "TASK_DEAD"
  | "INTERRUPTED"
  | "DECLINED";

/** A command cannot go on, said so that one can act: what happened, what was seen, what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;
  /** What was seen, one fact a line. */
  readonly seen: readonly string[];
  /** What to do, one step a line. */
  readonly hint: string;
  constructor(
    code: CliErrorCode,
    message: string,
    options?: ErrorOptions & { readonly seen?: readonly string[]; readonly hint?: string },
  ) {
    super(message, options);
    this.code = code;
    this.seen = options?.seen ?? [];
    this.hint = options?.hint ?? "";
  }
}

/** An error as people and programs are told of it. */
export interface Explanation {
  readonly code: string;
  readonly exit: number;
  readonly message: string;
  readonly seen: readonly string[];
  readonly hint: string;
  /** What a gateway refused the connection with, by the TLS standard's name, such as `certificate_revoked`. */
  readonly refusedWith?: string;
}

/** What our error classes carry, each some of it. */
interface Told extends Error {
  readonly code?: unknown;
  readonly seen?: readonly string[];
  readonly hint?: unknown;
  readonly close?: CloseInfo | undefined;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Read any thrown value as an {@link Explanation}. A code is kept as it is; one without a code is `UNEXPECTED`. */
export function explain(error: unknown): Explanation {
  if (!(error instanceof Error)) return explanation("UNEXPECTED", String(error), [], REPORT_IT);
  const { code, hint, close } = error as Told;
  if (typeof code !== "string") return explanation("UNEXPECTED", error.message, causesOf(error), REPORT_IT);
  const advice = typeof hint === "string" && hint !== "" ? hint : (HINTS.get(code) ?? "");
  const told = explanation(code, error.message, factsOf(error), advice);
  const refusedWith = close === undefined ? undefined : refusalName(close);
  return refusedWith === undefined ? told : { ...told, refusedWith };
}

const REPORT_IT = "This is a bug in Quaymesh: run again with --debug and report it.";

function explanation(code: string, message: string, seen: readonly string[], hint: string): Explanation {
  return { code, exit: exitFor(code), message: sentence(message), seen, hint };
}

/** What was seen, one fact a line, none twice. */
function factsOf(error: Told): readonly string[] {
  const own = error.seen ?? [];
  const details = Object.entries(error.details ?? {})
    // The verdict is the code in other words.
    .filter(([name, value]) => name !== "verdict" && !error.message.includes(String(value)))
    .map(([name, value]) => `${spaced(name)}  ${String(value)}`);
  const close = error.close === undefined ? [] : [closeText(error.close)];
  const facts = [...own, ...details, ...close, ...causesOf(error)];
  return [...new Set(facts)].filter((fact) => fact !== "" && !error.message.includes(fact));
}

/** What lies below an error, without what the text above it says already. */
function causesOf(error: Error): readonly string[] {
  const causes: string[] = [];
  const said = [error.message];
  for (let cause = error.cause, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    const { message } = cause;
    if (!said.some((before) => before.includes(message) || message.includes(before))) causes.push(message);
    said.push(message);
  }
  return causes;
}

/** `expectedRoot` as people read it: `expected root`. */
function spaced(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/gu, " ").toLowerCase();
}

function sentence(message: string): string {
  const text = message.trim();
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?:]$/u.test(first) ? first : `${first}.`;
}
