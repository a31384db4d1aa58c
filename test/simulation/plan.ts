import type { CrashKind, DiskFault } from "./disk.ts";
import type { Weather } from "./net/path.ts";

/** What a simulation consists of: plain data, so that it can be shrunk, kept and replayed. Times are milliseconds since its beginning; nodes go by their index. */
export interface Plan {
  readonly scenario: ScenarioName;
  /** Of everything that is left to chance. */
  readonly seed: number;
  readonly nodes: number;
  readonly readers: readonly ReaderPlan[];
  /** Of a stream. */
  readonly windowBytes: number;
  /** How often nodes say a batch twice, a probability. */
  readonly stutter: number;
  readonly work: readonly Work[];
  readonly faults: readonly Fault[];
  /** When the last fault is over and everything has to come right. */
  readonly calmAt: number;
}

/** Which product is put to the test. */
export type ScenarioName = "events";

/** Who reads the log: a node over its session, or an operator on the gateway. */
export interface ReaderPlan {
  readonly at: number | "operator";
  readonly kinds?: readonly string[];
  readonly devices?: readonly number[];
}

/** Something that somebody wants done. */
export interface Work {
  readonly kind: "publish";
  readonly at: number;
  readonly node: number;
  readonly count: number;
  readonly bytes: number;
  readonly buffered: boolean;
  readonly flush: boolean;
}

/** Something that goes wrong: at `at`, or `steps` events later. Whatever has a `forMs` is over after it. */
export type Fault = { readonly at: number; readonly steps: number } & (
  | { readonly kind: "cut"; readonly node: number }
  | {
      readonly kind: "block";
      readonly node: number;
      readonly way: "both" | "to-gateway" | "to-node";
      readonly forMs: number;
    }
  | { readonly kind: "weather"; readonly node: number; readonly weather: Weather; readonly forMs: number }
  | { readonly kind: "node-crash"; readonly node: number; readonly how: CrashKind; readonly forMs: number }
  | { readonly kind: "gateway-crash"; readonly forMs: number }
  | { readonly kind: "gateway-drain"; readonly forMs: number }
  | { readonly kind: "disk"; readonly node: number; readonly fault: DiskFault }
  | { readonly kind: "disk-full"; readonly node: number; readonly forMs: number }
  | { readonly kind: "disk-slow"; readonly node: number; readonly factor: number; readonly forMs: number }
  | { readonly kind: "store-full"; readonly forMs: number }
  | { readonly kind: "store-slow"; readonly commitMs: number; readonly forMs: number }
  | { readonly kind: "clock-jump"; readonly machine: number | "gateway"; readonly byMs: number }
  | { readonly kind: "reader-crash"; readonly reader: number; readonly forMs: number }
);
