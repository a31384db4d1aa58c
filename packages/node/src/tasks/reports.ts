import {
  encodeValue,
  MAX_TASK_CHUNK_BYTES,
  type TaskLogData,
  type TaskOutputData,
  type TaskProgressData,
  type TaskResultData,
} from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { TaskLogLevel } from "./context.ts";
import type { AttemptRef } from "./journal.ts";

const MAX_PROGRESS_TEXT = 512;
const MAX_LOG_TEXT = 8192;
const MAX_ERROR_TEXT = 4096;
const MAX_CODE_TEXT = 64;
/** Time between two progress reports of an attempt. */
const PROGRESS_INTERVAL_MS = 100;
/** Above this fill, what is only nice to know makes way for what must not be lost. */
const CROWDED = 0.9;
/** How long to wait before a disk that was full is tried again. */
const DISK_RETRY_MS = 1000;

/** How an attempt ended. */
export type AttemptResult =
  | { readonly outcome: "succeeded"; readonly output: Uint8Array }
  | {
      readonly outcome: "failed";
      readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean };
    }
  | { readonly outcome: Exclude<TaskResultData["outcome"], "succeeded" | "failed"> };

/** What {@link AttemptReports} works with. */
export interface ReportsOptions {
  readonly outbox: Outbox;
  readonly clock: Clock;
  /** Something was reported that people wait for. */
  readonly onUrgent: () => void;
}

/** Writes one attempt's progress, log lines, output and result into the outbox, in this order. */
export class AttemptReports {
  readonly #ref: AttemptRef;
  readonly #options: ReportsOptions;
  #fraction = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #pending: { readonly fraction: number; readonly message: string | undefined } | undefined;
  #timer: AbortController | undefined;
  #droppedLines = 0;
  #isOver = false;

  constructor(ref: AttemptRef, options: ReportsOptions) {
    this.#ref = { taskId: ref.taskId, token: ref.token };
    this.#options = options;
  }

  /** 0 to 1, as the attempt last said. */
  get fraction(): number {
    return this.#fraction;
  }

  progress(fraction: number, message?: string): void {
    if (this.#isOver) return;
    // NaN from a division by nothing is no progress.
    this.#fraction = fraction >= 0 ? Math.min(1, fraction) : 0;
    this.#pending = { fraction: this.#fraction, message: message?.slice(0, MAX_PROGRESS_TEXT).toWellFormed() };
    const { clock } = this.#options;
    const waitMs = this.#reportedAt + PROGRESS_INTERVAL_MS - clock.monotonic();
    if (waitMs <= 0) return this.#flushProgress();
    if (this.#timer !== undefined) return;
    const timer = new AbortController();
    this.#timer = timer;
    void clock.sleep(waitMs, timer.signal).then(
      () => {
        this.#timer = undefined;
        this.#flushProgress();
      },
      () => {},
    );
  }

  log(message: string, level: TaskLogLevel): void {
    if (this.#isOver) return;
    if (this.#options.outbox.fill > CROWDED) {
      this.#droppedLines += 1;
      return;
    }
    this.#reportDropped();
    const data: TaskLogData = { ...this.#ref, level, message: message.slice(0, MAX_LOG_TEXT).toWellFormed() };
    this.#append("task.log", data);
  }

  /**
   * Write output and result, waiting for room as long as it takes: a result is never given up.
   * @returns the sequence of the `task.result` event, once it is on disk
   * @throws rethrows `signal.reason`; {NodeError} `NODE_STOPPED`
   */
  async finish(result: AttemptResult, signal: AbortSignal): Promise<number> {
    this.#timer?.abort();
    this.#flushProgress();
    this.#reportDropped();
    this.#isOver = true;
    const output = result.outcome === "succeeded" ? result.output : new Uint8Array();
    let chunks = 0;
    for (let at = 0; at < output.length; at += MAX_TASK_CHUNK_BYTES) {
      const data: TaskOutputData = {
        ...this.#ref,
        index: chunks,
        bytes: output.subarray(at, at + MAX_TASK_CHUNK_BYTES),
      };
      // On disk before the result is: one whose output a failing disk took would make a failure of a success.
      await this.#insist("task.output", data, signal);
      chunks += 1;
    }
    const error = result.outcome === "failed" ? result.error : undefined;
    const data: TaskResultData = {
      ...this.#ref,
      outcome: result.outcome,
      outputChunks: chunks,
      outputBytes: output.length,
      ...(error !== undefined && {
        error: {
          code: error.code.slice(0, MAX_CODE_TEXT).toWellFormed() || "TASK_FAILED",
          message: error.message.slice(0, MAX_ERROR_TEXT).toWellFormed(),
          retryable: error.retryable,
        },
      }),
    };
    const seq = await this.#insist("task.result", data, signal);
    this.#options.onUrgent();
    return seq;
  }

  #flushProgress(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined || this.#options.outbox.fill > CROWDED) return;
    this.#reportedAt = this.#options.clock.monotonic();
    const { fraction, message } = pending;
    const data: TaskProgressData = { ...this.#ref, fraction, ...(message !== undefined && { message }) };
    this.#append("task.progress", data);
    this.#options.onUrgent();
  }

  #reportDropped(): void {
    if (this.#droppedLines === 0 || this.#options.outbox.fill > CROWDED) return;
    const message = `${this.#droppedLines} lines were dropped here: the node's outbox was nearly full`;
    this.#droppedLines = 0;
    this.#append("task.log", { ...this.#ref, level: "warn", message });
  }

  /** For what may get lost when the disk fails: nobody waits for it. */
  #append(kind: string, data: TaskProgressData | TaskLogData): void {
    const { outbox, clock } = this.#options;
    outbox.append({ kind, time: clock.now(), data: encodeValue(data) }, { durability: "buffered" }).catch(() => {});
  }

  async #insist(kind: string, data: TaskOutputData | TaskResultData, signal: AbortSignal): Promise<number> {
    const { outbox, clock } = this.#options;
    const body = encodeValue(data);
    for (;;) {
      try {
        const event = { kind, time: clock.now(), data: body };
        return await outbox.append(event, { reserve: true });
      } catch (cause) {
        if (!(cause instanceof NodeError)) throw cause;
        if (cause.code === "OUTBOX_FULL") await outbox.changed.wait(signal);
        else if (cause.code === "OUTBOX_DISK_FULL" || cause.code === "OUTBOX_IO") {
          await clock.sleep(DISK_RETRY_MS, signal);
        } else throw cause;
      }
    }
  }
}
