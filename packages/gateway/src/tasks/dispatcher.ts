import type { Capability } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { AttemptToStop, DispatchPort } from "../sessions/context.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import { OwnedTasks } from "../sessions/owned.ts";
import type { Store } from "../store/port.ts";
import type { TaskRow } from "../store/rows.ts";
import { AttemptStream } from "./attempt-stream.ts";
import { isWithNode } from "./ledger.ts";
import { NodeSlots } from "./node-slots.ts";
import { Strays } from "./strays.ts";
import { WaitingTasks } from "./waiting.ts";

/** Rows read at once at the start. */
const PAGE = 1000;
/** How long to wait before trying again where the store refused. */
const RETRY_MS = 1000;

/** What {@link Dispatcher} takes. */
export interface DispatcherOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leaseMs: number;
}

/**
 * Brings waiting tasks to nodes. What it holds in memory is a picture of the store, kept true by the store's own announcements; the store decides each lease by compare-and-set,
 * so a picture that is behind costs a turn and nothing else.
 */
export class Dispatcher implements DispatchPort {
  readonly #options: DispatcherOptions;
  readonly #waiting = new WaitingTasks();
  readonly #nodes = new Map<string, NodeSlots>();
  /** Where each attempt is, as far as is known; its node may be out of reach. */
  readonly #placed = new Map<string, TaskRow>();
  /** Tasks that pause before their next attempt. */
  readonly #pausing = new Set<string>();
  /** From before the lease is asked for until the stream is over. */
  readonly #streams = new Map<string, AttemptStream | undefined>();
  readonly #strays: Strays;
  readonly #work: OwnedTasks;
  readonly #stopped = new AbortController();
  #passScheduled = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#work = new OwnedTasks((error) => options.logger.error({ error }, "the dispatcher failed at a task"));
    this.#strays = new Strays({ ...options, run: (work) => this.#work.run(work) });
  }

  /** Read what is unfinished. Attempts whose gateway is gone are in `unknown`, and have time until their lease ends to be reported. */
  async load(): Promise<void> {
    const { store, clock, leaseMs } = this.#options;
    await store.tasks.adopt({ leaseMs, now: clock.now() });
    let afterTaskId = "";
    for (;;) {
      const page = await store.tasks.unfinished({ afterTaskId, limit: PAGE });
      for (const task of page) this.changed(task);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      afterTaskId = last.taskId;
    }
  }

  /** The store has committed this row. */
  changed(task: TaskRow): void {
    this.#place(task);
    if (task.state === "queued") this.#waiting.add(task);
    else this.#waiting.remove(task.taskId);
    if (task.state === "retry-wait") this.#pausing.add(task.taskId);
    else this.#pausing.delete(task.taskId);
    if (task.exclusive && task.state !== "queued") {
      for (const node of this.#nodes.values()) node.unreserve(task.taskId);
    }
    this.#schedulePass();
  }

  online(session: LiveSession, capabilities: readonly Capability[], labels: readonly string[]): void {
    const node = new NodeSlots(session, labels, capabilities);
    for (const task of this.#placed.values()) if (task.deviceId === session.deviceId) node.take(task);
    this.#nodes.set(session.deviceId, node);
    this.#schedulePass();
  }

  offline(session: LiveSession): void {
    if (this.#nodes.get(session.deviceId)?.session === session) {
      this.#nodes.delete(session.deviceId);
      this.#strays.forget(session.deviceId);
    }
    this.#schedulePass();
  }

  capabilities(session: LiveSession, capabilities: readonly Capability[]): void {
    const node = this.#nodes.get(session.deviceId);
    if (node?.session !== session) return;
    node.offer(capabilities);
    this.#schedulePass();
  }

  stop(attempts: readonly AttemptToStop[]) {
    return attempts.filter(({ taskId, token, reason }) => !this.cancel(taskId, token, reason));
  }

  listed(session: LiveSession, running: readonly { readonly taskId: string; readonly token: number }[]): void {
    const node = this.#nodes.get(session.deviceId);
    if (node?.session !== session) return;
    const named = new Set(running.map(({ taskId, token }) => `${taskId}/${token}`));
    for (const taskId of node.taken) {
      const task = this.#placed.get(taskId);
      if (task === undefined || task.deviceId !== session.deviceId) continue;
      // What it was sent just now it need not know of yet.
      if (this.#streams.has(taskId) && this.#streams.get(taskId)?.wasAccepted !== true) continue;
      if (named.has(`${taskId}/${task.token}`)) this.#strays.found(taskId);
      else this.#strays.note(task, session.deviceId);
    }
  }

  /** Tell the node of an attempt to stop. @returns whether there is a stream to say it on */
  cancel(taskId: string, token: number, reason: string): boolean {
    const stream = this.#streams.get(taskId);
    if (stream === undefined || stream.token !== token || !stream.isOpen) return false;
    this.#work.run(() => stream.cancel(reason));
    return true;
  }

  /** Whether there is a stream on which the node of this attempt can be told to stop. */
  canReach(taskId: string, token: number): boolean {
    const stream = this.#streams.get(taskId);
    return stream !== undefined && stream.token === token && stream.isOpen;
  }

  /** What a device runs and could run. */
  usage(deviceId: string): { readonly running: number; readonly slots: number } {
    const node = this.#nodes.get(deviceId);
    let running = 0;
    for (const task of this.#placed.values()) if (task.deviceId === deviceId) running += 1;
    return { running, slots: node?.slots ?? 0 };
  }

  /** Unfinished tasks: without a node, with one, and between two attempts. */
  get counts(): { readonly waiting: number; readonly placed: number; readonly retrying: number } {
    return { waiting: this.#waiting.size, placed: this.#placed.size, retrying: this.#pausing.size };
  }

  /** Whether anything is unfinished. */
  get idle(): boolean {
    return this.#placed.size === 0 && this.#waiting.size === 0 && this.#pausing.size === 0;
  }

  /** Start nothing more. What runs goes on at its nodes. */
  stopDispatching(): void {
    this.#stopped.abort();
  }

  /** Resolves when every stream has ended, which they do with their connections. */
  async close(): Promise<void> {
    this.stopDispatching();
    this.#strays.close();
    await this.#work.settled();
  }

  #place(task: TaskRow): void {
    const before = this.#placed.get(task.taskId);
    if (isWithNode(task)) this.#placed.set(task.taskId, task);
    else this.#placed.delete(task.taskId);
    if (!isWithNode(task) || before?.token !== task.token) this.#strays.found(task.taskId);
    if (!isWithNode(task)) this.#streams.get(task.taskId)?.attemptOver();
    if (before?.deviceId !== undefined && (before.deviceId !== task.deviceId || !isWithNode(task))) {
      this.#nodes.get(before.deviceId)?.release(task.taskId);
    }
    if (isWithNode(task) && task.deviceId !== undefined) this.#nodes.get(task.deviceId)?.take(task);
  }

  /** One pass for everything that happened in this turn. */
  #schedulePass(): void {
    if (this.#passScheduled || this.#stopped.signal.aborted || this.#waiting.size === 0) return;
    this.#passScheduled = true;
    queueMicrotask(() => {
      this.#passScheduled = false;
      this.#pass();
    });
  }

  #pass(): void {
    if (this.#stopped.signal.aborted) return;
    for (const group of this.#waiting.groups()) {
      const candidates = [...this.#nodes.values()].filter((node) => node.suits(group.definition, group.target));
      if (candidates.length === 0) continue;
      for (const task of group.tasks.values()) {
        const node = pick(candidates, task);
        if (node === undefined) break;
        this.#start(task, node);
      }
    }
  }

  #start(task: TaskRow, node: NodeSlots): void {
    this.#waiting.remove(task.taskId);
    // Taken before the store has answered: the next task of this pass must not count on the same slot.
    node.take(task);
    this.#streams.set(task.taskId, undefined);
    this.#work.run(async () => {
      let leased: TaskRow | undefined;
      try {
        leased = await this.#lease(task, node.session.deviceId);
      } finally {
        if (leased === undefined) this.#notStarted(task.taskId, node);
      }
      if (leased !== undefined) await this.#run(leased, node.session);
    });
  }

  /** The store gave the lease to nobody, or to another: what was taken in advance is free again. */
  #notStarted(taskId: string, node: NodeSlots): void {
    if (this.#streams.get(taskId) === undefined) this.#streams.delete(taskId);
    if (this.#placed.get(taskId)?.deviceId !== node.session.deviceId) node.release(taskId);
    this.#schedulePass();
  }

  async #lease(task: TaskRow, device: string): Promise<TaskRow | undefined> {
    const { store, clock, leaseMs } = this.#options;
    const now = clock.now();
    try {
      const { taskId, token } = task;
      const stepped = await store.tasks.step({ taskId, token, inputs: [{ kind: "lease", device, now }], leaseMs, now });
      return stepped?.changed === true ? stepped.task : undefined;
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      clock.after(RETRY_MS, () => this.#lookAgain(task.taskId));
      return undefined;
    }
  }

  /** The store refused: it may have room again, or the device be gone from the picture, and the task may have gone on without us. */
  #lookAgain(taskId: string): void {
    if (this.#stopped.signal.aborted) return;
    this.#work.run(async () => {
      const task = await this.#options.store.tasks.get(taskId);
      if (task !== undefined && !this.#placed.has(taskId)) this.changed(task);
    });
  }

  async #run(task: TaskRow, session: LiveSession): Promise<void> {
    const stream = new AttemptStream(task, session, this.#options);
    this.#streams.set(task.taskId, stream);
    try {
      await stream.run(this.#stopped.signal);
    } finally {
      if (this.#streams.get(task.taskId) === stream) this.#streams.delete(task.taskId);
    }
  }
}

/** The node with the most room, in shares of what it offers. An exclusive task that finds none reserves the least busy one. */
function pick(candidates: readonly NodeSlots[], task: TaskRow): NodeSlots | undefined {
  let best: NodeSlots | undefined;
  for (const node of candidates) {
    if (!node.hasRoomFor(task)) continue;
    if (best === undefined || node.running / node.slots < best.running / best.slots) best = node;
  }
  if (best === undefined && task.exclusive) reserve(candidates, task);
  return best;
}

function reserve(candidates: readonly NodeSlots[], task: TaskRow): void {
  if (candidates.some((node) => node.reservedFor === task.taskId)) return;
  const free = candidates.filter((node) => node.reservedFor === undefined);
  const [least] = free.toSorted((left, right) => left.running - right.running);
  if (least !== undefined) least.reservedFor = task.taskId;
}
