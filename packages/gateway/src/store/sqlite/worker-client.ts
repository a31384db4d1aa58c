import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { GatewayError } from "../../errors.ts";
import { fromPlain } from "./errors.ts";
import { buffersOf, packJob } from "./packed-append.ts";
import type { UnitInput, UnitName, UnitOutput } from "./units.ts";
import type { FromWorker, Job, Reply, ToWorker, WorkerRole } from "./wire.ts";

// The same file as a source and as built: the extension is this module's own.
const WORKER = import.meta.url.endsWith(".ts")
  ? new URL("./worker.ts", import.meta.url)
  : new URL("./worker.js", import.meta.url);

/** Batches at the worker at once: one that runs and one that waits, so that it never idles and groups still grow. */
const MAX_BATCHES = 2;

interface Pending {
  readonly unit: UnitName;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: GatewayError) => void;
}

/** What {@link WorkerClient.open} takes. */
export interface WorkerClientOptions {
  readonly role: WorkerRole;
  /** Calls that may wait for their answer. */
  readonly maxPending: number;
  /** The thread broke; every call rejects from now on. */
  readonly onFailure?: (error: GatewayError) => void;
  /** Called in the order of the replies, before their promises resolve. */
  readonly onReply?: (unit: UnitName, reply: Reply) => void;
}

/** Calls to one worker thread. */
export class WorkerClient {
  readonly logId: string;
  readonly generation: number;
  readonly #worker: Worker;
  readonly #options: WorkerClientOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<unknown>;
  #queue: Job[] = [];
  #nextId = 1;
  #batches: number[] = [];
  #scheduled = false;
  #closed = false;

  private constructor(
    worker: Worker,
    options: WorkerClientOptions,
    opened: { readonly logId: string; readonly generation: number },
  ) {
    this.#worker = worker;
    this.#options = options;
    this.logId = opened.logId;
    this.generation = opened.generation;
    worker.on("message", (message: FromWorker) => this.#onMessage(message));
    worker.on("error", (error) => this.#fail(error));
    this.#exited = once(worker, "exit").then(() => {
      // Nobody asked it to end: it broke, if without a word.
      this.#fail(this.#closed ? undefined : new Error("it ended"));
    });
  }

  /**
   * Start the thread and open its database.
   * @throws {GatewayError} what the worker refused with
   */
  static async open(options: WorkerClientOptions): Promise<WorkerClient> {
    const worker = new Worker(WORKER, { workerData: options.role, name: `quaymesh-store-${options.role.kind}` });
    const [first]: FromWorker[] = await once(worker, "message");
    if (first?.kind === "opened") return new WorkerClient(worker, options, first);
    await worker.terminate();
    throw first?.kind === "refused"
      ? fromPlain(first.error)
      : new GatewayError("STORE_FAILED", "the store's thread broke");
  }

  /** Calls that wait for their answer. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Whether the thread is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Run one unit. @throws {GatewayError} `STORE_CLOSED`, `STORE_OVERLOADED`, and what the unit throws */
  call<N extends UnitName>(unit: N, input: UnitInput<N>): Promise<UnitOutput<N>> {
    if (this.#closed) return Promise.reject(new GatewayError("STORE_CLOSED", "the store is closed"));
    if (this.#pending.size >= this.#options.maxPending) {
      return Promise.reject(new GatewayError("STORE_OVERLOADED", `${this.#pending.size} writes wait already`));
    }
    const id = this.#nextId++;
    return new Promise<UnitOutput<N>>((resolve, reject) => {
      this.#pending.set(id, { unit, resolve: (value) => resolve(value as UnitOutput<N>), reject });
      this.#queue.push({ id, unit, input });
      this.#schedule();
    });
  }

  /** Let what is queued finish, then end the thread. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#send();
      this.#post({ kind: "close" });
    }
    await this.#exited;
  }

  #schedule(): void {
    if (this.#scheduled || this.#batches.length >= MAX_BATCHES) return;
    this.#scheduled = true;
    // One message for everything that is called in this turn.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    const last = this.#queue.at(-1);
    if (last === undefined) return;
    this.#batches.push(last.id);
    const jobs = this.#queue.map(packJob);
    this.#queue = [];
    this.#post({ kind: "jobs", jobs }, jobs.flatMap(buffersOf));
  }

  #post(message: ToWorker, moved: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, [...moved]);
  }

  #onMessage(message: FromWorker): void {
    if (message.kind !== "replies") return;
    for (const reply of message.replies) this.#settle(reply);
    const settled = message.replies.at(-1)?.id ?? 0;
    this.#batches = this.#batches.filter((id) => id > settled);
    if (this.#queue.length > 0) this.#schedule();
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (pending === undefined) return;
    this.#options.onReply?.(pending.unit, reply);
    if (reply.ok) pending.resolve(reply.value);
    else pending.reject(fromPlain(reply.error));
  }

  #fail(cause: Error | undefined): void {
    this.#closed = true;
    this.#queue = [];
    const error =
      cause === undefined
        ? new GatewayError("STORE_CLOSED", "the store is closed")
        : new GatewayError("STORE_FAILED", `the store's thread broke: ${cause.message}`, { cause });
    if (cause !== undefined) this.#options.onFailure?.(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
