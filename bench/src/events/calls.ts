/** What the processes of the suite can be asked, and what they answer. */

/** A node that publishes. */
interface PublisherCalls {
  /** Publish as fast as durable publishing goes, then wait until all of it is acknowledged. */
  readonly flood: (input: { readonly ms: number }) => { readonly events: number; readonly firstAt: number };
  /** Publish and flush one event every so often, the time in its body. */
  readonly tick: (input: { readonly ms: number; readonly everyMs: number }) => { readonly events: number };
  /** Many nodes in one process: publish, flush, wait for the acknowledgement, each at its own pace. */
  readonly crowd: (input: { readonly ms: number; readonly everyMs: number }) => { readonly waitsMs: readonly number[] };
}

/** A node or an operator that reads. */
interface ReaderCalls {
  /** Count the events of one kind from now on. */
  readonly follow: (input: { readonly kind: string }) => null;
  /** Wait until that many of them came. */
  readonly await: (input: { readonly events: number }) => {
    readonly lastAt: number;
    readonly delaysMs: readonly number[];
  };
  /** Read the log's `logEvents` from the beginning, again and again, for so long. */
  readonly replay: (input: { readonly ms: number; readonly by: "node" | "operator"; readonly logEvents: number }) => {
    readonly events: number;
    readonly seconds: number;
  };
}

interface Appended {
  readonly rate: number;
  readonly micros: number;
}

/** The store by itself, and SQLite by itself. */
interface StoreCalls {
  /** Rows a second into a bare table, in transactions of 100. */
  readonly raw: (input: { readonly ms: number }) => { readonly rate: number };
  /** Events a second, and CPU time for each, into a store that is empty and into one with `logEvents`, in turns. */
  readonly grow: (input: { readonly ms: number; readonly logEvents: number }) => {
    readonly empty: Appended;
    readonly full: Appended;
  };
}

/** Anything. */
interface CommonCalls {
  /** CPU time of the process so far. */
  readonly cpu: (input: null) => { readonly micros: number };
}

/** Every call. */
type Calls = PublisherCalls & ReaderCalls & StoreCalls & CommonCalls;
/** Names of calls. */
export type CallName = keyof Calls;
/** What a call takes. */
export type CallInput<N extends CallName> = Parameters<Calls[N]>[0];
/** What it gives. */
export type CallOutput<N extends CallName> = ReturnType<Calls[N]>;
/** Calls a role answers. */
export type Answers = { readonly [N in CallName]?: (input: CallInput<N>) => Promise<CallOutput<N>> };

/** How a process is started. */
export type Role =
  | { readonly kind: "gateway"; readonly state: string }
  | { readonly kind: "publisher"; readonly states: readonly string[]; readonly port: number }
  | { readonly kind: "reader"; readonly state: string; readonly port: number; readonly gateway: string }
  | { readonly kind: "store"; readonly directory: string };

/** To a process. */
export interface Asked {
  readonly name: CallName;
  readonly input: unknown;
}

/** From a process; the first says that it is up. */
export type Said =
  | { readonly kind: "up"; readonly port: number }
  | { readonly kind: "answer"; readonly value: unknown }
  | { readonly kind: "failed"; readonly message: string };
