import type { Store, StoreStats } from "../../packages/gateway/src/store/port.ts";
import type { UnitInput, UnitName, UnitOutput } from "../../packages/gateway/src/store/sqlite/units.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";
import { Watchers } from "../../packages/gateway/src/store/sqlite/watchers.ts";
import { replyOf, type SimDatabase } from "./database.ts";
import type { Process } from "./process.ts";
import type { Random } from "./random.ts";

/** What the store's disk does. */
export interface StoreWeather {
  /** Of a commit, at most. */
  commitMs: number;
  /** Refuse what writes. */
  full: boolean;
}

/** What {@link openSimStore} takes. */
export interface SimStoreOptions {
  readonly database: SimDatabase;
  readonly process: Process;
  readonly random: Random;
  readonly weather: StoreWeather;
  /** Told of what is about to be committed. */
  readonly onGroup?: (jobs: readonly Job[]) => void;
  /** Told of each commit the moment it is made, before anybody else. */
  readonly onCommit: (jobs: readonly Job[], replies: readonly Reply[]) => void;
  /** Stand in for a unit: `undefined` lets it through. */
  readonly sabotage?: Sabotage;
}

/** Ways in which a store breaks its promises, for the controls. */
export interface Sabotage {
  /** Changes what a write gets. */
  readonly rewrite?: (job: Job, database: SimDatabase) => Job;
  /** Answers a write before it is committed. */
  readonly early?: (job: Job, database: SimDatabase) => Reply | undefined;
}

interface Queued {
  readonly job: Job;
  readonly settle: (reply: Reply) => void;
}

/** The calls behind the port: reads at once, writes in groups, each after the time its disk takes. */
class Calls {
  readonly options: SimStoreOptions;
  readonly watchers = new Watchers();
  #queue: Queued[] = [];
  #committing = false;
  #units = 0;

  constructor(options: SimStoreOptions) {
    this.options = options;
  }

  get stats(): StoreStats {
    return { units: this.#units, queued: this.#queue.length, state: this.options.weather.full ? "full" : "ok" };
  }

  read<N extends UnitName>(unit: N, input: UnitInput<N>): Promise<UnitOutput<N>> {
    const { process, database, random } = this.options;
    return process.later(random.next() * 0.5, () => database.read(unit, input));
  }

  write<N extends UnitName>(unit: N, input: UnitInput<N>): Promise<UnitOutput<N>> {
    const { promise, resolve, reject } = Promise.withResolvers<UnitOutput<N>>();
    const settle = (reply: Reply): void => {
      this.watchers.note(unit, reply);
      try {
        resolve(replyOf(unit, reply));
      } catch (error) {
        reject(error);
      }
    };
    this.#queue.push({ job: { id: this.#units++, unit, input }, settle });
    this.#commitNext();
    return promise;
  }

  /** One group at a time: what comes while one is under way goes into the next. */
  #commitNext(): void {
    if (this.#committing || this.#queue.length === 0) return;
    this.#committing = true;
    const { process, random, weather } = this.options;
    const begins = 0.05 + random.next() * 0.2;
    process.after(begins, () => {
      const group = this.#queue;
      this.#queue = [];
      process.after(random.next() * weather.commitMs, () => this.#commit(group));
      this.#answerEarly(group);
    });
  }

  #commit(group: readonly Queued[]): void {
    const { process, random, database, onCommit, weather } = this.options;
    const replies = weather.full ? group.map(refused) : this.#commitNow(group, database, onCommit);
    // The commit is on disk, and whoever asked for it has yet to hear of that: the moment for a crash.
    process.after(random.next() * 0.3, () => {
      for (const [index, { settle }] of group.entries()) {
        const reply = replies[index];
        if (reply !== undefined) settle(reply);
      }
      this.#committing = false;
      this.#commitNext();
    });
  }

  #commitNow(group: readonly Queued[], database: SimDatabase, onCommit: SimStoreOptions["onCommit"]): readonly Reply[] {
    const { sabotage: { rewrite } = {}, onGroup } = this.options;
    const jobs = group.map(({ job }) => job);
    onGroup?.(jobs);
    // What is rewritten depends on what was committed before it.
    const replies =
      rewrite === undefined ? database.commit(jobs) : jobs.flatMap((job) => database.commit([rewrite(job, database)]));
    onCommit(jobs, replies);
    return replies;
  }

  #answerEarly(group: readonly Queued[]): void {
    const { sabotage, database } = this.options;
    for (const { job, settle } of group) {
      const reply = sabotage?.early?.(job, database);
      if (reply !== undefined) settle(reply);
    }
  }
}

function refused({ job }: Queued): Reply {
  const error = { code: "STORE_FULL", message: "the simulated disk is full", metadata: {} } as const;
  return { id: job.id, ok: false, error };
}

/** The Store port over a {@link SimDatabase}: the real units on virtual time. */
export function openSimStore(options: SimStoreOptions): Store {
  const calls = new Calls(options);
  const r = calls.read.bind(calls);
  const w = calls.write.bind(calls);
  return {
    meta: {
      logId: "simulated-log",
      generation: 1,
      get: (key) => r("meta.get", key),
      put: (key, value) => w("meta.put", { key, value }),
    },
    lineage: {
      checkpoint: () => r("lineage.checkpoint", undefined),
      behind: () => r("lineage.behind", undefined),
    },
    devices: {
      list: () => r("devices.list", undefined),
      count: () => r("devices.count", undefined),
      get: (id) => r("devices.get", id),
      find: (text) => r("devices.find", text),
      select: (selector) => r("devices.select", selector),
      findByKey: (key) => r("devices.find-by-key", key),
      trustSnapshot: () => r("devices.trust", undefined),
      certificates: (id) => r("devices.certificates", id),
      revocationEpoch: () => r("devices.revocation-epoch", undefined),
      receipt: (id) => r("devices.receipt", id),
      revocationImpact: (id) => r("devices.revocation-impact", id),
      enroll: (input) => w("devices.enroll", input),
      addCertificate: (input) => w("devices.add-certificate", input),
      retireCertificates: (input) => w("devices.retire-certificates", input),
      requestRotation: (input) => w("devices.request-rotation", input),
      unfreeze: (input) => w("devices.unfreeze", input),
      revoke: (input) => w("devices.revoke", input),
      finishRevocation: (input) => w("devices.finish-revocation", input),
    },
    pairing: pairing(r, w),
    sessions: {
      open: (input) => w("sessions.open", input),
      close: (input) => w("sessions.close", input),
      noteMesh: (input) => w("sessions.note-mesh", input),
      setCapabilities: (input) => w("sessions.set-capabilities", input),
    },
    events: {
      append: (input) => w("events.append", input),
      record: (input) => w("events.record", input),
      watermark: (input) => r("events.watermark", input),
      read: (input) => r("events.read", input),
      bounds: () => r("events.bounds", undefined),
      seek: (input) => r("events.seek", input),
      compact: (input) => w("events.compact", input),
      retain: (input) => w("events.retain", input),
      pruneHistory: (input) => w("events.prune-history", input),
      quarantined: (input) => r("events.quarantined", input),
      verify: (input) => r("events.verify", input),
      usage: () => r("events.usage", undefined),
    },
    subscriptions: {
      open: (input) => w("subscriptions.open", input),
      acknowledge: (input) => w("subscriptions.acknowledge", input),
      get: (input) => r("subscriptions.get", input),
      list: (input) => r("subscriptions.list", input),
      remove: (input) => w("subscriptions.remove", input),
      floor: (input) => w("subscriptions.floor", input),
    },
    policies: {
      current: () => r("policies.current", undefined),
      history: (input) => r("policies.history", input),
      put: (input) => w("policies.put", input),
    },
    tasks: tasks(r, w),
    watch: (listener) => calls.watchers.add(listener),
    stats: () => calls.stats,
    close: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

type Call = Calls["read"];

function pairing(r: Call, w: Call): Store["pairing"] {
  return {
    putWindow: (row) => w("pairing.put-window", row),
    window: (id) => r("pairing.window", id),
    windowByCode: (id) => r("pairing.window-by-code", id),
    windows: (states) => r("pairing.windows", states),
    moveWindow: (input) => w("pairing.move-window", input),
    recordAttempt: (input) => w("pairing.record-attempt", input),
    recordFailure: (input) => w("pairing.record-failure", input),
    recordProof: (id) => w("pairing.record-proof", id),
    countFailures: (input) => r("pairing.count-failures", input),
    putRequest: (row) => w("pairing.put-request", row),
    request: (id) => r("pairing.request", id),
    requests: (states) => r("pairing.requests", states),
    moveRequest: (input) => w("pairing.move-request", input),
  };
}

function tasks(r: Call, w: Call): Store["tasks"] {
  return {
    submit: (input) => w("tasks.submit", input),
    get: (id) => r("tasks.get", id),
    find: (text) => r("tasks.find", text),
    list: (input) => r("tasks.list", input),
    unfinished: (input) => r("tasks.unfinished", input),
    due: (input) => r("tasks.due", input),
    step: (input) => w("tasks.step", input),
    renew: (input) => w("tasks.renew", input),
    resume: (input) => w("tasks.resume", input),
    disconnect: (input) => w("tasks.disconnect", input),
    adopt: (input) => w("tasks.adopt", input),
    readInput: (input) => r("tasks.read-input", input),
    readOutput: (input) => r("tasks.read-output", input),
    readLog: (input) => r("tasks.read-log", input),
  };
}
