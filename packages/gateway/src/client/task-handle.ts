import type { Client } from "@connectrpc/connect";
import type { TaskService } from "@quaymesh/api";
import { decodeValue } from "@quaymesh/protocol/core";
import { required, taskInfo, taskUpdate } from "./decode.ts";
import { ClientError } from "./errors.ts";
import type { TaskInfo, TaskStateName, TaskUpdate } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Options of calls that may wait. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** Turns a decoded output into what the definition promises. @throws {ClientError} `OUTPUT_INVALID` */
export type ReadOutput<T> = (value: unknown) => Promise<T>;

const FAILURES: Partial<Record<TaskStateName, string>> = {
  failed: "TASK_FAILED",
  cancelled: "TASK_CANCELLED",
  "timed-out": "TASK_TIMED_OUT",
  dead: "TASK_DEAD",
};

/** A task that was submitted, or one attached to. Dropping the handle leaves the task as it is. */
export class TaskHandle<Output> {
  readonly id: string;
  readonly #wire: Wire;
  readonly #client: Client<typeof TaskService>;
  readonly #read: ReadOutput<Output>;

  /** Use `tasks.submit` or `tasks.attach`. */
  constructor(id: string, wire: Wire, client: Client<typeof TaskService>, read: ReadOutput<Output>) {
    this.id = id;
    this.#wire = wire;
    this.#client = client;
    this.#read = read;
  }

  /** The task as it is now. @throws {ClientError} */
  info(options?: CallOptions): Promise<TaskInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.getTask({ taskId: this.id }, options);
      return taskInfo(required(answer.task, "task"));
    }, options?.signal);
  }

  /**
   * Every state change, progress report and log line, from the task's beginning; ends when the task has ended. Leaving the loop stops watching,
   * not the task. @throws {ClientError}
   */
  updates(options?: CallOptions): AsyncGenerator<TaskUpdate, void, undefined> {
    return this.#wire.stream(
      (signal) => this.#client.watchTask({ taskId: this.id }, { signal }),
      taskUpdate,
      options?.signal,
    );
  }

  /**
   * Waits for the end and returns the output, checked against the definition.
   * @throws {ClientError} `TASK_FAILED`, `TASK_CANCELLED`, `TASK_TIMED_OUT`, `TASK_DEAD` (`metadata.code` is the task's own error code),
   * `OUTPUT_INVALID`
   */
  async result(options?: CallOptions): Promise<Output> {
    const task = await this.#ended(options);
    const failure = FAILURES[task.state];
    if (failure !== undefined) {
      throw new ClientError(failure, task.error?.message ?? `task ${this.id} ended as ${task.state}`, {
        metadata: { taskId: this.id, state: task.state, ...(task.error && { code: task.error.code }) },
      });
    }
    return this.#read(decodeValue(await this.output(options)));
  }

  /** The output of a task that succeeded as it came: one CBOR value. @throws {ClientError} `TASK_NOT_SUCCEEDED` */
  async output(options?: CallOptions): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    const stream = this.#wire.stream(
      (signal) => this.#client.getTaskOutput({ taskId: this.id }, { signal }),
      (message) => message.data,
      options?.signal,
    );
    for await (const piece of stream) pieces.push(piece);
    const { buffer, byteOffset, byteLength } = Buffer.concat(pieces);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** Ask the task to stop; the answer is the task as it then is, which may already have ended otherwise. @throws {ClientError} */
  cancel(reason = "", options?: CallOptions): Promise<TaskInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.cancelTask({ taskId: this.id, reason }, options);
      return taskInfo(required(answer.task, "task"));
    }, options?.signal);
  }

  async #ended(options?: CallOptions): Promise<TaskInfo> {
    let last: TaskInfo | undefined;
    for await (const update of this.updates(options)) last = update.task;
    return last ?? (await this.info(options));
  }
}
