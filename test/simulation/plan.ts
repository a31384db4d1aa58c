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
  /** Nodes pack batches where it pays; left out: they never do. */
  readonly packs?: boolean;
  /** Events the log keeps at most, but for those that a reader has yet to get; left out: all. */
  readonly keep?: number;
  /** When the pairing endpoint is open. Default: while a window is. */
  readonly door?: "window" | "always";
  readonly work: readonly Work[];
  readonly faults: readonly Fault[];
  /** When the last fault is over and everything has to come right. */
  readonly calmAt: number;
}

/** Which product is put to the test. */
export type ScenarioName = "events" | "sessions" | "tasks" | "pairing";

/** Who reads the log: a node over its session, or an operator on the gateway. */
export interface ReaderPlan {
  readonly at: number | "operator";
  readonly kinds?: readonly string[];
  readonly devices?: readonly number[];
  /** The gateway keeps its cursor. */
  readonly durable?: boolean;
  /** How long it takes over an event, at most; 2 where it is left out. */
  readonly slowMs?: number;
}

/** Something that somebody wants done. */
export type Work = { readonly at: number; readonly node: number } & (Publish | Revoke | Twin | TaskWork | PairingWork);

/** An application on the node records events. */
interface Publish {
  readonly kind: "publish";
  readonly count: number;
  readonly bytes: number;
  readonly buffered: boolean;
  readonly flush: boolean;
}

/** An operator cuts the node off, and asks until there is a receipt. */
interface Revoke {
  readonly kind: "revoke";
}

/** A copy of the node's identity comes online on another machine. */
interface Twin {
  readonly kind: "twin";
  readonly forMs: number;
}

/** An operator wants a task run, and asks until it is taken; on that node, or on `anywhere`. */
interface TaskWork {
  readonly kind: "task";
  readonly anywhere: boolean;
  readonly idempotent: boolean;
  readonly runMs: number;
  /** So many attempts fail before one succeeds. */
  readonly failures: number;
  /** It is cancelled so long after it was taken; never, where it is 0. */
  readonly cancelAfterMs: number;
}

/** What people and strangers do around pairing; `node` is the machine that is meant. */
export type PairingWork =
  /** An operator wants the machine paired, and a person on it is given the code: until it is, or was denied. */
  | {
      readonly kind: "pair";
      /** `both`: a ticket and a PIN open the same window, and the machine is given one of them. `node`: the machine shows a code of its own, and the operator reads that. */
      readonly code: "ticket" | "pin" | "both" | "node";
      /** `cancel`: the window is closed again, whoever is in it. */
      readonly decision: "approve" | "deny" | "never" | "cancel";
      /** How long it takes to bring the code to the machine. */
      readonly walkMs: number;
      /** How long the operator takes to look up. */
      readonly lookMs: number;
      /** What somebody at another terminal says of a device that is let in, so long after. Default: the same, at once. */
      readonly second?: { readonly decision: "approve" | "deny"; readonly afterMs: number };
    }
  /** An operator opens a pre-approved window, and gives its ticket to every machine that has none yet, this one first. */
  | { readonly kind: "fleet"; readonly uses: number }
  /** The machine asks the pairing endpoint for another certificate. */
  | { readonly kind: "renew" }
  /** Once the machine is paired it sleeps for days, and then asks for another certificate. */
  | { readonly kind: "sleep"; readonly days: number }
  /** A stranger tries codes on the window that is meant for the machine. */
  | {
      readonly kind: "guess";
      readonly stranger: number;
      readonly code: "pin" | "ticket" | "unknown";
      readonly times: number;
      readonly everyMs: number;
      readonly manner: Manner;
    }
  /** A stranger has read the code that was meant for the machine. */
  | { readonly kind: "thief"; readonly manner?: Manner }
  /**
   * Somebody sits between the machine and the gateway, with certificates of their own: they pass everything on, or play both sides with the code, or with a guess at it. Who `babbles` has the
   * code, says things twice or too early, or ends in the middle.
   */
  | { readonly kind: "middle"; readonly forMs: number; readonly style: "relay" | "knows" | "guesses" | "babbles" };

/** What a stranger with a code does: waits for the answer, hangs up the moment its proof is sent, says hello and then nothing, or says everything twice, and that it is done all the time. */
export type Manner = "waits" | "leaves" | "hangs" | "babbles";

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
  /** The node dies, and its disk is put back to what it was at `imageAt`, if it ran then. */
  | { readonly kind: "restore"; readonly node: number; readonly imageAt: number; readonly forMs: number }
  | { readonly kind: "node-stop"; readonly node: number; readonly forMs: number }
  | { readonly kind: "gateway-crash"; readonly forMs: number }
  | { readonly kind: "gateway-drain"; readonly forMs: number }
  | { readonly kind: "endpoint-crash" }
  | { readonly kind: "disk"; readonly node: number; readonly fault: DiskFault }
  | { readonly kind: "disk-full"; readonly node: number; readonly forMs: number }
  | { readonly kind: "disk-slow"; readonly node: number; readonly factor: number; readonly forMs: number }
  | { readonly kind: "store-full"; readonly forMs: number }
  | { readonly kind: "store-slow"; readonly commitMs: number; readonly forMs: number }
  | { readonly kind: "clock-jump"; readonly machine: number | "gateway"; readonly byMs: number }
  | { readonly kind: "reader-crash"; readonly reader: number; readonly forMs: number }
);
