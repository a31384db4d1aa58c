/** Runs a target in a worker thread and watches over it. */
import { Worker } from "node:worker_threads";
import { keep, readCorpus } from "./corpus.ts";
import { InFlight, MAX_INPUT_BYTES, type WorkerMessage, type WorkerSetup, type WorkerSummary } from "./messages.ts";
import type { Finding, FindingKind, Outcome, RunOptions, TargetEntry } from "./target.ts";

/** A worker that is busy with one input for so long does not come back. Far above what a busy machine does to a sound one. */
const HUNG_MS = 10_000;
const WATCH_MS = 500;
/** More than a hundred times what any target holds. */
const MAX_HEAP_MB = 512;
const SHOWN_BYTES = 512;

/** A target that runs in a worker thread of its own. @param module exports `target`, a PureTarget @param hungMs how long one input may take before the worker is given up */
export function pureTarget(name: string, about: string, module: URL, hungMs = HUNG_MS): TargetEntry {
  return { name, about, run: (options) => new PureRun(name, module, hungMs, options).run() };
}

class PureRun {
  readonly #name: string;
  readonly #module: URL;
  readonly #hungMs: number;
  readonly #options: RunOptions;
  readonly #findings: Finding[] = [];
  /** Corpus files under way. */
  readonly #writes: Promise<unknown>[] = [];
  #inputs = 0;
  #kept = 0;

  constructor(name: string, module: URL, hungMs: number, options: RunOptions) {
    this.#hungMs = hungMs;
    this.#name = name;
    this.#module = module;
    this.#options = options;
  }

  async run(): Promise<Outcome> {
    const { seed, seconds, maxInputs, guided, corpus } = this.#options;
    const startedAt = performance.now();
    const kept = await readCorpus(corpus, this.#name);
    const inFlight = InFlight.allocate(MAX_INPUT_BYTES);
    const module = this.#module.href;
    const summary = await this.#supervise({ module, seed, seconds, maxInputs, guided, kept, inFlight });
    await Promise.all(this.#writes);
    return {
      target: this.#name,
      seed,
      seconds: (performance.now() - startedAt) / 1000,
      inputs: summary?.inputs ?? this.#inputs,
      replayed: kept.length,
      kept: summary?.kept ?? this.#kept,
      findings: this.#findings,
      figures: summary === undefined ? {} : figuresOf(summary),
    };
  }

  async #supervise(setup: WorkerSetup): Promise<WorkerSummary | undefined> {
    const ended = Promise.withResolvers<WorkerSummary | undefined>();
    const inFlight = new InFlight(setup.inFlight);
    const worker = new Worker(new URL("worker.ts", import.meta.url), {
      workerData: setup,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    const lost = (kind: FindingKind, message: string): void => {
      this.#add({ kind, message }, inFlight.get());
      ended.resolve(undefined);
    };
    const stopWatching = watch(inFlight, this.#hungMs, () => {
      lost("hung", `one input takes more than ${String(this.#hungMs / 1000)} s`);
    });
    const onAbort = (): void => ended.resolve(undefined);
    this.#options.signal.addEventListener("abort", onAbort);
    worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "done") ended.resolve(message.summary);
      else this.#hear(message);
    });
    worker.on("error", (error) => {
      const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
      lost(isMemory ? "memory" : "died", error instanceof Error ? error.message : String(error));
    });
    try {
      return await ended.promise;
    } finally {
      stopWatching();
      this.#options.signal.removeEventListener("abort", onAbort);
      await worker.terminate();
    }
  }

  #hear(message: Exclude<WorkerMessage, { readonly kind: "done" }>): void {
    switch (message.kind) {
      case "progress":
        this.#inputs = message.inputs;
        this.#options.onProgress(
          `${this.#name}: ${String(message.inputs)} inputs, ${String(message.reached)} positions of source reached, ${String(message.pool)} in the pool`,
        );
        return;
      case "kept":
        this.#kept += 1;
        if (this.#options.write) this.#writes.push(keep(this.#options.corpus, this.#name, "reaches", message.bytes));
        return;
      case "finding":
        this.#add(message.failure, message.bytes);
        return;
      default:
        message satisfies never;
    }
  }

  #add(failure: { readonly kind: FindingKind; readonly message: string }, bytes: Uint8Array): void {
    const input = Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString("hex");
    const index = this.#findings.push({ ...failure, input }) - 1;
    if (!this.#options.write) return;
    const writing = keep(this.#options.corpus, this.#name, `finding-${failure.kind}`, bytes);
    this.#writes.push(writing.then((file) => (this.#findings[index] = { ...failure, input, file })));
  }
}

// Time counts only while this thread is served too: a machine that stands still for both must not look like a hang.
function watch(inFlight: InFlight, hungMs: number, onHung: () => void): () => void {
  let turn = inFlight.turn;
  let stuckMs = 0;
  const timer = setInterval(() => {
    stuckMs = inFlight.turn === turn && turn > 0 ? stuckMs + WATCH_MS : 0;
    turn = inFlight.turn;
    if (stuckMs >= hungMs) onHung();
  }, WATCH_MS);
  return () => clearInterval(timer);
}

const figuresOf = ({ reached, slowestMs, grownBytes, digest }: WorkerSummary): Record<string, number> => ({
  reached,
  slowestMs: Math.round(slowestMs * 100) / 100,
  grownKiB: Math.round(grownBytes / 1024),
  digest: Number.parseInt(digest.slice(0, 12), 16),
});
