import { encodeValue, ProtocolError, type RunningAttempt, type TaskRun } from "@quaymesh/protocol";
import { abortable } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { TaskFailure, TaskStop, type TaskContext, type TaskStopReason } from "./context.ts";
import type { TaskDefinition } from "./define.ts";
import { applySchema } from "./input.ts";
import type { AttemptReports, AttemptResult } from "./reports.ts";

/** Work that may not run twice stops itself at this share of its lease: before the gateway can give it to another. */
const LEASE_SHARE = 0.8;
/** How long a handler has to notice that its signal aborted, before its attempt is reported without it. */
const STOP_GRACE_MS = 10_000;

/** What an {@link Attempt} is made of. */
export interface AttemptOptions {
  readonly run: TaskRun;
  readonly definition: TaskDefinition;
  readonly input: unknown;
  readonly reports: AttemptReports;
  readonly clock: Clock;
  readonly emit: (kind: string, data: unknown) => Promise<number>;
}

/** One run of a task's handler, with its deadlines. All times are monotonic. */
export class Attempt {
  readonly run: TaskRun;
  readonly #options: AttemptOptions;
  readonly #stop = new AbortController();
  readonly #done = new AbortController();
  #leaseUntil: number;
  #leaseTimer: AbortController | undefined;
  /** Settles when the handler is really gone, which may be after the result. */
  #handler: Promise<unknown> = Promise.resolve();

  constructor(options: AttemptOptions) {
    this.run = options.run;
    this.#options = options;
    const now = options.clock.monotonic();
    this.#leaseUntil = now + options.run.leaseMs * LEASE_SHARE;
    this.#watchLease();
    void this.#abortAfter(options.run.timeoutMs, this.#done.signal, "timed-out", "its time is up");
  }

  /** Aborts when the attempt has to stop; the reason is a {@link TaskStop}. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get reports(): AttemptReports {
    return this.#options.reports;
  }

  /** As a heartbeat carries it. */
  get running(): RunningAttempt {
    return { taskId: this.run.taskId, token: this.run.token, progress: this.#options.reports.fraction };
  }

  /** The gateway prolonged the lease of a heartbeat sent at `heartbeatAt`. */
  renew(heartbeatAt: number, leaseMs: number): void {
    const until = heartbeatAt + leaseMs * LEASE_SHARE;
    if (until <= this.#leaseUntil) return;
    this.#leaseUntil = until;
    this.#watchLease();
  }

  /** Make the attempt stop; the first reason counts. */
  abort(reason: TaskStopReason, message: string): void {
    this.#stop.abort(new TaskStop(reason, message));
  }

  /** Run the handler to its end, or to the attempt's. Never rejects. */
  async perform(): Promise<AttemptResult> {
    this.#handler = this.#invoke();
    const result = this.#handler.then((output) => this.#succeed(output)).catch((cause: unknown) => this.#fail(cause));
    try {
      return await abortable(result, this.signal);
    } catch {
      // What the handler still does is waited for, so that two attempts of it do not overlap, but no longer looked at.
      await this.#graceFor(result);
      return this.#stopped();
    }
  }

  /** What to report of an attempt that was stopped, before it began or while it ran. */
  stoppedResult(): AttemptResult {
    return this.#stopped();
  }

  /** Resolves when the handler is gone. Never rejects. */
  async settled(): Promise<void> {
    await this.#handler.then(
      () => {},
      () => {},
    );
  }

  /** No deadline matters any more. */
  dispose(): void {
    this.#done.abort();
    this.#leaseTimer?.abort();
  }

  async #invoke(): Promise<unknown> {
    const { definition, input, reports, emit } = this.#options;
    const context: TaskContext = {
      taskId: this.run.taskId,
      attempt: this.run.attempt,
      signal: this.signal,
      progress: (fraction, message) => reports.progress(fraction, message),
      log: (message, level = "info") => reports.log(message, level),
      emit,
    };
    return definition.run(input, context);
  }

  async #succeed(output: unknown): Promise<AttemptResult> {
    const checked = await applySchema(this.#options.definition.output, output);
    if (checked.kind === "invalid") {
      return { outcome: "failed", error: { code: "TASK_OUTPUT_INVALID", message: checked.message, retryable: false } };
    }
    return { outcome: "succeeded", output: encodeValue(checked.value) };
  }

  #fail(cause: unknown): AttemptResult {
    if (cause instanceof TaskFailure) {
      const { code, message, retryable } = cause;
      return { outcome: "failed", error: { code, message, retryable } };
    }
    if (cause instanceof ProtocolError && cause.code === "VALUE_UNENCODABLE") {
      return { outcome: "failed", error: { code: "TASK_OUTPUT_INVALID", message: cause.message, retryable: false } };
    }
    const message = cause instanceof Error ? cause.message : String(cause);
    return { outcome: "failed", error: { code: "TASK_FAILED", message, retryable: true } };
  }

  #stopped(): AttemptResult {
    const cause: unknown = this.signal.reason;
    const reason = cause instanceof TaskStop ? cause.reason : "cancelled";
    const message = cause instanceof Error ? cause.message : "stopped";
    switch (reason) {
      case "cancelled":
      case "timed-out":
      case "lease-lost":
        return { outcome: reason };
      case "node-stopping":
        return { outcome: "failed", error: { code: "NODE_STOPPING", message, retryable: true } };
      default:
        return reason satisfies never;
    }
  }

  async #graceFor(result: Promise<AttemptResult>): Promise<void> {
    const timer = new AbortController();
    await Promise.race([result, this.#options.clock.sleep(STOP_GRACE_MS, timer.signal).catch(() => {})]);
    timer.abort();
  }

  #watchLease(): void {
    // Work that may run twice goes on without a lease and delivers late; the gateway knows what to make of it.
    if (this.run.idempotent || this.#done.signal.aborted) return;
    this.#leaseTimer?.abort();
    this.#leaseTimer = new AbortController();
    const ms = this.#leaseUntil - this.#options.clock.monotonic();
    void this.#abortAfter(ms, this.#leaseTimer.signal, "lease-lost", "the gateway was out of reach for too long");
  }

  async #abortAfter(ms: number, until: AbortSignal, reason: TaskStopReason, message: string): Promise<void> {
    try {
      await this.#options.clock.sleep(Math.max(0, ms), until);
    } catch {
      return;
    }
    this.abort(reason, message);
  }
}
