import pLimit, { type LimitFunction } from "p-limit";
import {
  GATEWAY_METHODS,
  MAX_RUNNING_ATTEMPTS,
  MessageStream,
  parseRequest,
  parseTaskToNode,
  ProtocolError,
  type ByteStream,
  type Capability,
  type NodeSessionEffect,
  type RunningAttempt,
  type TaskRun,
} from "@quaymesh/protocol";
import { abortable, Bell } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import type { NodeLogLine } from "../node-options.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { Attempt } from "./attempt.ts";
import type { TaskDefinition } from "./define.ts";
import { ExclusiveLock } from "./exclusive-lock.ts";
import { applySchema, readInput, TaskRejection } from "./input.ts";
import type { AttemptJournal } from "./journal.ts";
import { AttemptReports, type AttemptResult } from "./reports.ts";

/** What a {@link TaskRunner} works with. */
export interface TaskRunnerOptions {
  readonly definitions: readonly TaskDefinition[];
  readonly concurrency: number;
  readonly maxQueued: number;
  readonly outbox: Outbox;
  readonly journal: Pick<AttemptJournal, "begin" | "end" | "leftovers">;
  readonly clock: Clock;
  readonly emit: (kind: string, data: unknown) => Promise<number>;
  /** Attempts started or finished. */
  readonly onChange: () => void;
  /** The outbox holds something that people wait for. */
  readonly onUrgent: () => void;
  readonly log: (line: NodeLogLine) => void;
}

interface Offer {
  readonly definition: TaskDefinition;
  readonly limit: LimitFunction | undefined;
}

/** Runs what the gateway asks for, over as many sessions as it takes. */
export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  readonly #offers = new Map<string, Offer>();
  readonly #limit: LimitFunction;
  readonly #lock = new ExclusiveLock();
  /** By task id: a task has one attempt here at most. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #idle = new Bell();
  #isStopping = false;

  /** @throws {NodeError} `TASK_DEFINITION_INVALID` when two definitions have one name */
  constructor(options: TaskRunnerOptions) {
    this.#options = options;
    this.#limit = pLimit(options.concurrency);
    for (const definition of options.definitions) {
      const { name, concurrency } = definition;
      if (this.#offers.has(name)) {
        throw new NodeError("TASK_DEFINITION_INVALID", `there are two definitions of ${name}`);
      }
      this.#offers.set(name, { definition, limit: concurrency === undefined ? undefined : pLimit(concurrency) });
    }
  }

  /** What this node offers. */
  get capabilities(): Capability[] {
    const most = this.#options.concurrency;
    return Array.from(this.#offers, ([name, { definition }]) => ({
      name,
      concurrency: Math.min(definition.concurrency ?? most, most),
    }));
  }

  /** Attempts accepted and not finished, waiting ones included. */
  get running(): RunningAttempt[] {
    return Array.from(this.#attempts.values(), (attempt) => attempt.running);
  }

  /**
   * Report attempts of a process before this one as over, so that the gateway can try again.
   * @throws {NodeError} as `Outbox.append`
   */
  async reportLeftovers(signal: AbortSignal): Promise<void> {
    const { journal, log } = this.#options;
    for (const left of await journal.leftovers()) {
      const error = { code: "NODE_RESTARTED", message: "the node's process ended while the task ran", retryable: true };
      await this.#reportsFor(left).finish({ outcome: "failed", error }, signal);
      await journal.end(left);
      log({
        level: "warn",
        event: "task.leftover",
        message: `${left.definition} did not survive a restart`,
        details: { taskId: left.taskId, token: left.token },
      });
    }
  }

  /** Serve one stream that the gateway opened. Never rejects. Resolves when the attempt is over or the stream was refused. */
  async serve(byteStream: ByteStream): Promise<void> {
    const stream = new MessageStream(byteStream);
    try {
      const frame = await stream.read();
      if (frame === null) return;
      await this.#accept(stream, parseRequest(frame, GATEWAY_METHODS));
    } catch (cause) {
      // The stream's own end needs no answer; what the peer did wrong gets one.
      if (cause instanceof ProtocolError) await this.#refuse(stream, () => stream.fail(cause));
      else stream.reset(0);
    }
  }

  /** What a heartbeat's answer says about the attempts it reported. */
  onLeases(leases: Extract<NodeSessionEffect, { kind: "leases" }>): void {
    const fenced = new Set(leases.fenced.map(({ taskId, token }) => `${taskId}/${token}`));
    for (const attempt of this.#attempts.values()) {
      const { taskId, token } = attempt.run;
      if (fenced.has(`${taskId}/${token}`)) attempt.abort("lease-lost", "the gateway gave the task to another attempt");
      else attempt.renew(leases.heartbeatAt, leases.leaseMs);
    }
  }

  /** Take nothing new from now on. */
  refuseNew(): void {
    this.#isStopping = true;
  }

  /** Stop what still runs; each attempt is reported, retryable. */
  abortAll(message: string): void {
    for (const attempt of this.#attempts.values()) attempt.abort("node-stopping", message);
  }

  /** Resolves when nothing runs. @throws rethrows `signal.reason` */
  async idle(signal?: AbortSignal): Promise<void> {
    while (this.#attempts.size > 0) await this.#idle.wait(signal);
  }

  async #accept(stream: MessageStream, run: TaskRun): Promise<void> {
    try {
      const offer = this.#admit(run);
      const value = await readInput(stream, run);
      const input = await applySchema(offer.definition.input, value);
      if (input.kind === "invalid") throw new TaskRejection("TASK_INPUT_INVALID", input.message);
      // Reading took time, in which another stream may have taken the place.
      this.#admit(run);
      await this.#attempt(stream, run, { offer, input: input.value });
    } catch (cause) {
      if (!(cause instanceof TaskRejection)) throw cause;
      const { code, message } = cause;
      this.#options.log({ level: "warn", event: "task.rejected", message, details: { taskId: run.taskId, code } });
      const rejected = { type: "rejected", code, message: message.slice(0, 512).toWellFormed() } as const;
      await this.#refuse(stream, () => stream.end(rejected));
    }
  }

  /** Say it, and let go of what the gateway still sends until it has heard. */
  async #refuse(stream: MessageStream, say: () => Promise<void> | undefined): Promise<void> {
    await quietly(say);
    await quietly(() => stream.discard());
  }

  #admit(run: TaskRun): Offer {
    if (this.#isStopping) throw new TaskRejection("NODE_STOPPING", "this node is about to stop");
    const offer = this.#offers.get(run.definition);
    if (offer === undefined) throw new TaskRejection("TASK_UNKNOWN", `this node does not offer ${run.definition}`);
    const current = this.#attempts.get(run.taskId);
    if (current !== undefined) {
      if (current.run.token >= run.token)
        throw new TaskRejection("TASK_STALE", "this attempt, or a later one, runs here");
      current.abort("lease-lost", "a later attempt of the task came");
      throw new TaskRejection("NODE_BUSY", "an earlier attempt of the task is still stopping here");
    }
    const { concurrency, maxQueued, outbox } = this.#options;
    const most = Math.min(concurrency + maxQueued, MAX_RUNNING_ATTEMPTS);
    if (this.#attempts.size >= most) throw new TaskRejection("NODE_BUSY", `${most} tasks run or wait here already`);
    if (outbox.fill >= 1) throw new TaskRejection("NODE_BUSY", "this node's outbox is full");
    return offer;
  }

  async #attempt(
    stream: MessageStream,
    run: TaskRun,
    work: { readonly offer: Offer; readonly input: unknown },
  ): Promise<void> {
    const { clock, emit, journal } = this.#options;
    const reports = this.#reportsFor(run);
    const { definition, limit } = work.offer;
    const attempt = new Attempt({ run, definition, input: work.input, reports, clock, emit });
    this.#attempts.set(run.taskId, attempt);
    this.#options.onChange();
    const listening = this.#listen(stream, attempt);
    try {
      await this.#note(run);
      const result = await this.#inTurn(stream, attempt, limit);
      const seq = await reports.finish(result, new AbortController().signal);
      await journal.end(run);
      this.#logEnd(run, result);
      await quietly(() => stream.end({ type: "finished", seq }));
    } finally {
      attempt.dispose();
      this.#attempts.delete(run.taskId);
      this.#idle.ring();
      this.#options.onChange();
    }
    await listening;
  }

  async #note(run: TaskRun): Promise<void> {
    try {
      await this.#options.journal.begin(run, run.definition);
    } catch (cause) {
      throw new TaskRejection("NODE_BUSY", "this node cannot write to its disk", { cause });
    }
    const details = { taskId: run.taskId, token: run.token };
    this.#options.log({ level: "debug", event: "task.queued", message: run.definition, details });
  }

  /** Wait for a place and run. An attempt that is stopped while it waits does not wait on. */
  async #inTurn(stream: MessageStream, attempt: Attempt, limit: LimitFunction | undefined): Promise<AttemptResult> {
    const begun = Promise.withResolvers<void>();
    const turn = (): Promise<AttemptResult> =>
      this.#limit(() => {
        begun.resolve();
        return this.#perform(stream, attempt);
      });
    const result = limit === undefined ? turn() : limit(turn);
    try {
      await abortable(begun.promise, attempt.signal);
    } catch {
      return attempt.stoppedResult();
    }
    return result;
  }

  async #perform(stream: MessageStream, attempt: Attempt): Promise<AttemptResult> {
    const { run, signal } = attempt;
    let release: () => void;
    try {
      release = await this.#lock.acquire(run.exclusive, signal);
    } catch {
      return attempt.stoppedResult();
    }
    try {
      this.#options.log({
        level: "info",
        event: "task.started",
        message: `${run.definition}, attempt ${run.attempt}`,
        details: { taskId: run.taskId, token: run.token },
      });
      await quietly(() => stream.send({ type: "accepted" }));
      return await attempt.perform();
    } finally {
      // A handler that ignores its signal keeps its place: what it holds is still in use.
      void attempt.settled().then(release);
    }
  }

  /** Until the stream ends, which a lost connection does without ending the attempt. Never rejects. */
  async #listen(stream: MessageStream, attempt: Attempt): Promise<void> {
    try {
      for await (const message of stream.messages(parseTaskToNode)) {
        if (message.type === "cancel") attempt.abort("cancelled", message.reason);
      }
    } catch {
      // Cut off: the attempt goes on, and its events find their way over the next session.
    }
  }

  #reportsFor(ref: { readonly taskId: string; readonly token: number }): AttemptReports {
    const { outbox, clock, onUrgent } = this.#options;
    return new AttemptReports(ref, { outbox, clock, onUrgent });
  }

  #logEnd(run: TaskRun, result: AttemptResult): void {
    const message = `${run.definition} ${result.outcome}`;
    const details = { taskId: run.taskId, token: run.token };
    this.#options.log({ level: "info", event: "task.finished", message, details });
  }
}

/** For last words to a peer that may be gone. */
async function quietly(write: () => Promise<void> | undefined): Promise<void> {
  try {
    await write();
  } catch {
    // Nobody is there to read them.
  }
}
