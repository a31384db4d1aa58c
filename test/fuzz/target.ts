import type { Random } from "./random.ts";

/** A promise that was not kept: what a target's `run` throws for a wrong answer, as opposed to an error nobody meant to throw. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Something that takes bytes from strangers and needs no process of its own to do so. */
export interface PureTarget {
  /** No input is longer. */
  readonly maxBytes: number;
  /** Valid inputs to begin with. */
  seeds(): readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** A change that knows the structure of `input`; `other` lends parts. */
  mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array;
  /** Take `input`, and see that what comes of it is what was promised. Refusing it in the promised way is fine. Anything thrown is a finding. */
  run(input: Uint8Array): void | Promise<void>;
  /** What reads the input in a `run`, where that is more than one: each is then timed alone, as nothing but a run has them all read it. They may throw. */
  readonly readers?: readonly ((input: Uint8Array) => unknown)[];
}

/** What went wrong. */
export type FindingKind = "threw" | "violated" | "slow" | "hung" | "memory" | "died" | "disturbed";

/** Something to repair. */
export interface Finding {
  readonly kind: FindingKind;
  /** One line. */
  readonly message: string;
  /** Where the input was written, or `undefined` where nothing is written or no single input is to blame. */
  readonly file?: string;
  /** The input, shrunk, in hexadecimal; cut where it is long. */
  readonly input?: string;
}

/** What became of one target. */
export interface Outcome {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  /** Inputs made and judged. */
  readonly inputs: number;
  /** Inputs of the kept corpus, judged first. */
  readonly replayed: number;
  /** Inputs that reached something new. */
  readonly kept: number;
  readonly findings: readonly Finding[];
  /** What was measured, by name and unit. */
  readonly figures: Readonly<Record<string, number>>;
}

/** How long and from where. */
export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Stop after so many inputs, if that comes first. */
  readonly maxInputs: number;
  /** Whether what reaches new code is mutated further; off only to compare. */
  readonly guided: boolean;
  /** Whether to keep what is found in the corpus. */
  readonly write: boolean;
  readonly corpus: URL;
  readonly signal: AbortSignal;
  /** Told about once a second. */
  readonly onProgress: (line: string) => void;
}

/** A target as the command line knows it. */
export interface TargetEntry {
  readonly name: string;
  readonly about: string;
  run(options: RunOptions): Promise<Outcome>;
}
