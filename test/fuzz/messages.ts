import type { Failure } from "./judge.ts";

/** What a worker is started with. */
export interface WorkerSetup {
  /** Module that exports `target`. */
  readonly module: string;
  readonly seed: number;
  readonly seconds: number;
  readonly maxInputs: number;
  /** Whether what reaches new code is mutated further. */
  readonly guided: boolean;
  readonly kept: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** What is judged right now: see {@link InFlight}. */
  readonly inFlight: SharedArrayBuffer;
}

/** What a worker says. */
export type WorkerMessage =
  | { readonly kind: "progress"; readonly inputs: number; readonly reached: number; readonly pool: number }
  /** An input that reached new code, shrunk. */
  | { readonly kind: "kept"; readonly bytes: Uint8Array }
  | { readonly kind: "finding"; readonly failure: Failure; readonly bytes: Uint8Array }
  | { readonly kind: "done"; readonly summary: WorkerSummary };

/** What a worker did. */
export interface WorkerSummary {
  readonly inputs: number;
  readonly replayed: number;
  readonly kept: number;
  readonly reached: number;
  readonly slowestMs: number;
  /** Heap and external memory after a collection, against the same before the random inputs. */
  readonly grownBytes: number;
  /** Hash of every input made, in order: two runs of one seed agree. */
  readonly digest: string;
}

const HEADER_BYTES = 8;

/** The input a worker is busy with, where the thread that watches it can read it even if the worker never comes back. */
export class InFlight {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 2);
    this.#bytes = new Uint8Array(shared, HEADER_BYTES);
  }

  /** Memory for inputs up to this length. */
  static allocate(maxBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(HEADER_BYTES + maxBytes);
  }

  /** A number that changes with every input. */
  get turn(): number {
    return Atomics.load(this.#words, 0);
  }

  /** From now on the worker is busy with `input`. */
  set(input: Uint8Array): void {
    this.#bytes.set(input);
    Atomics.store(this.#words, 1, input.length);
    Atomics.add(this.#words, 0, 1);
  }

  /** A copy of the input. */
  get(): Uint8Array {
    return this.#bytes.slice(0, Atomics.load(this.#words, 1));
  }
}

/** The longest input of any target: a few frames of the largest size. */
export const MAX_INPUT_BYTES = 2 << 20;
