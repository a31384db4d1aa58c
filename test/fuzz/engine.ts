/** The loop that makes inputs, judges them and keeps what reaches new code. */
import { createHash } from "node:crypto";
import { setFlagsFromString, getHeapStatistics } from "node:v8";
import { runInNewContext } from "node:vm";
import { mutateBytes } from "./bytes.ts";
import { MAX_KEPT_BYTES } from "./corpus.ts";
import { type BlockCoverage, type Execution, Reached, reaches } from "./coverage.ts";
import { judge, type Failure } from "./judge.ts";
import { InFlight, type WorkerMessage, type WorkerSetup, type WorkerSummary } from "./messages.ts";
import { FINDING_TRIES, KEPT_TRIES, minimise, SLOW_TRIES } from "./minimise.ts";
import { Random } from "./random.ts";
import type { PureTarget } from "./target.ts";

/** Inputs between two looks at the coverage: a look costs as much as hundreds of inputs. */
const BATCH = 256;
/** A batch that leaves more than this behind is followed by a collection, and what then remains by a finding. */
const MAX_GROWN_BYTES = 64 << 20;
const RECENT = 8;
/** Enough to repair for one run. */
const MAX_FINDINGS = 8;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const heldBytes = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
};

/** One run over one target, in this thread. */
export class Engine {
  readonly #target: PureTarget;
  readonly #setup: WorkerSetup;
  readonly #say: (message: WorkerMessage) => void;
  readonly #inFlight: InFlight;
  readonly #random: Random;
  readonly #coverage: BlockCoverage;
  readonly #reached = new Reached();
  readonly #pool: Uint8Array[] = [];
  readonly #found = new Set<string>();
  readonly #digest = createHash("sha256");
  /** Whether enough was found, or memory is used up. */
  #isFull = false;
  #inputs = 0;
  #kept = 0;
  #slowestMs = 0;

  constructor(target: PureTarget, coverage: BlockCoverage, setup: WorkerSetup, say: (message: WorkerMessage) => void) {
    this.#coverage = coverage;
    this.#target = target;
    this.#setup = setup;
    this.#say = say;
    this.#inFlight = new InFlight(setup.inFlight);
    this.#random = new Random(setup.seed);
  }

  /** Replay what is kept, then fuzz until the time or the number of inputs is used up. */
  async run(): Promise<WorkerSummary> {
    const { kept, seconds, maxInputs } = this.#setup;
    const seeds = await this.#target.seeds();
    for (const input of [...seeds, ...kept.map(({ bytes }) => new Uint8Array(bytes))]) {
      await this.#judged(input);
      this.#pool.push(input);
    }
    this.#reached.add(this.#coverage.take());
    collect();
    const before = heldBytes();
    const until = performance.now() + seconds * 1000;
    let reportAt = performance.now() + 1000;
    while (performance.now() < until && this.#inputs < maxInputs && !this.#isFull) {
      await this.#batch(Math.min(BATCH, maxInputs - this.#inputs));
      await this.#checkMemory(before);
      if (performance.now() < reportAt) continue;
      reportAt += 1000;
      this.#say({ kind: "progress", inputs: this.#inputs, reached: this.#reached.size, pool: this.#pool.length });
    }
    collect();
    return {
      inputs: this.#inputs,
      replayed: kept.length,
      kept: this.#kept,
      reached: this.#reached.size,
      slowestMs: this.#slowestMs,
      grownBytes: heldBytes() - before,
      digest: this.#digest.digest("hex").slice(0, 16),
    };
  }

  async #batch(size: number): Promise<void> {
    const inputs: Uint8Array[] = [];
    for (let made = 0; made < size; made += 1) {
      const input = this.#make();
      this.#digest.update(input);
      inputs.push(input);
      await this.#judged(input);
      this.#inputs += 1;
    }
    if (this.#setup.guided && this.#isNew(this.#coverage.take())) await this.#keepNew(inputs);
  }

  #make(): Uint8Array {
    const random = this.#random;
    // What was new last is likely to be next to what is new next.
    const base = random.pick(random.chance(0.4) ? this.#pool.slice(-RECENT) : this.#pool);
    const other = random.pick(this.#pool);
    const { maxBytes } = this.#target;
    if (random.chance(0.4)) return mutateBytes(random, base, other, maxBytes);
    const mutant = this.#target.mutate(random, base, other);
    const out = random.chance(0.1) ? mutateBytes(random, mutant, other, maxBytes) : mutant;
    return out.length > maxBytes ? out.slice(0, maxBytes) : out;
  }

  #isNew(execution: Execution): boolean {
    return this.#reached.fresh(execution).size > 0;
  }

  async #execute(inputs: readonly Uint8Array[]): Promise<Execution> {
    this.#coverage.take();
    for (const input of inputs) {
      this.#inFlight.set(input);
      await judge(this.#target, input);
    }
    return this.#coverage.take();
  }

  // By halves: a look at the coverage costs more than running many inputs again.
  async #keepNew(inputs: readonly Uint8Array[]): Promise<void> {
    const [only] = inputs;
    if (only === undefined) return;
    if (inputs.length === 1) return this.#keepIfNew(only);
    const middle = inputs.length >>> 1;
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      if (this.#isNew(await this.#execute(half))) await this.#keepNew(half);
    }
  }

  async #keepIfNew(input: Uint8Array): Promise<void> {
    const execution = await this.#execute([input]);
    const fresh = this.#reached.fresh(execution);
    if (fresh.size === 0) return;
    this.#reached.add(execution);
    const small = await minimise(input, KEPT_TRIES, async (candidate) =>
      reaches(await this.#execute([candidate]), fresh),
    );
    this.#pool.push(small);
    this.#kept += 1;
    if (small.length <= MAX_KEPT_BYTES) this.#say({ kind: "kept", bytes: small });
  }

  async #judged(input: Uint8Array): Promise<void> {
    this.#inFlight.set(input);
    const failure = await judge(this.#target, input, (ms) => {
      if (ms > this.#slowestMs) this.#slowestMs = ms;
    });
    if (failure !== undefined) await this.#report(failure, input);
  }

  async #report(failure: Failure, input: Uint8Array): Promise<void> {
    const key = `${failure.kind} ${failure.message.replaceAll(/\d+/g, "#")}`;
    if (this.#found.has(key)) return;
    this.#found.add(key);
    this.#isFull ||= this.#found.size >= MAX_FINDINGS;
    const isSame = (other: Failure | undefined): boolean =>
      other !== undefined && `${other.kind} ${other.message.replaceAll(/\d+/g, "#")}` === key;
    const bytes = await minimise(input, failure.kind === "slow" ? SLOW_TRIES : FINDING_TRIES, async (candidate) => {
      this.#inFlight.set(candidate);
      return isSame(await judge(this.#target, candidate));
    });
    this.#say({ kind: "finding", failure, bytes });
  }

  // Garbage is not growth: only what a collection leaves counts.
  async #checkMemory(before: number): Promise<void> {
    if (heldBytes() - before < MAX_GROWN_BYTES) return;
    collect();
    const grown = heldBytes() - before;
    if (grown < MAX_GROWN_BYTES) return;
    const message = `${(grown / 2 ** 20).toFixed(0)} MiB more than at first are held after a collection`;
    await this.#report({ kind: "memory", message }, this.#inFlight.get());
    this.#isFull = true;
  }
}
