import {
  MessageStream,
  parseTaskFromNode,
  ProtocolError,
  RemoteError,
  TransportError,
  type TaskFromNode,
  type TaskInput,
} from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import type { Store } from "../store/port.ts";
import type { TaskFailure, TaskRow } from "../store/rows.ts";

/** What an attempt needs. */
export interface AttemptOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leaseMs: number;
}

const UNREACHABLE: TaskFailure = {
  code: "NODE_UNREACHABLE",
  message: "the node went away before it was sent the task",
};

/** One `task.run` stream. It brings the task to the node; what comes of it are events and heartbeats, which outlive the stream. */
export class AttemptStream {
  readonly token: number;
  readonly #task: TaskRow;
  readonly #session: LiveSession;
  readonly #options: AttemptOptions;
  #messages: MessageStream | undefined;
  #cancelReason: string | undefined;
  #inputSent = false;
  #answered = false;

  constructor(task: TaskRow, session: LiveSession, options: AttemptOptions) {
    this.#task = task;
    this.token = task.token;
    this.#session = session;
    this.#options = options;
  }

  /** Whether the node can still be told something. */
  get isOpen(): boolean {
    return this.#messages !== undefined;
  }

  /** Bring the task over and hear the node out. Never rejects for what the node or the network does. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await using stream = await this.#session.openStream({ signal });
      this.#messages = new MessageStream(stream);
      await this.#converse(this.#messages);
    } catch (error) {
      await this.#broke(error);
    } finally {
      this.#messages = undefined;
    }
  }

  /** Ask the node to stop. What it answers is its result. */
  async cancel(reason: string): Promise<void> {
    this.#cancelReason ??= reason;
    try {
      // In the middle of the input the message would come out of order; it follows the input then.
      if (this.#inputSent) await this.#messages?.end({ type: "cancel", reason: reason.slice(0, 256).toWellFormed() });
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
    }
  }

  async #converse(messages: MessageStream): Promise<void> {
    const answers = this.#hear(messages);
    try {
      await this.#send(messages);
    } catch (error) {
      // A node that turned the task down has stopped reading; what it said explains it.
      if (!(error instanceof TransportError)) throw error;
    }
    await answers;
  }

  async #send(messages: MessageStream): Promise<void> {
    const { taskId, definition, attempt, token, timeoutMs, exclusive, idempotent, inputBytes } = this.#task;
    const { leaseMs, store } = this.#options;
    const run = { taskId, definition, attempt, token, leaseMs, timeoutMs, exclusive, idempotent, inputBytes };
    await messages.send({ v: 1, method: "task.run", ...run });
    for (let index = 0; ; index++) {
      const bytes = await store.tasks.readInput({ taskId, index });
      if (bytes === undefined) break;
      await messages.send({ type: "input", bytes });
    }
    await messages.send({ type: "input.end" });
    this.#inputSent = true;
    if (this.#cancelReason !== undefined) await this.cancel(this.#cancelReason);
  }

  async #hear(messages: MessageStream): Promise<void> {
    for await (const message of messages.messages(parseTaskFromNode)) {
      this.#answered = true;
      if (await this.#onAnswer(message)) return;
    }
  }

  /** @returns whether it was the last */
  async #onAnswer(message: TaskFromNode): Promise<boolean> {
    const now = this.#options.clock.now();
    switch (message.type) {
      case "accepted":
        await this.#step({ kind: "accepted", token: this.token, now });
        return false;
      case "rejected":
        await this.#step({ kind: "rejected", token: this.token, now }, message);
        return true;
      case "finished":
        return true;
      default:
        return message satisfies never;
    }
  }

  async #step(input: TaskInput, error?: TaskFailure): Promise<void> {
    const { store, leaseMs, clock } = this.#options;
    const { taskId } = this.#task;
    await store.tasks.step({
      taskId,
      token: this.token,
      inputs: [input],
      leaseMs,
      now: clock.now(),
      ...(error !== undefined && { error: { code: error.code, message: error.message } }),
    });
  }

  async #broke(error: unknown): Promise<void> {
    const { logger, clock } = this.#options;
    const facts = { task: this.#task.taskId, device: this.#session.deviceId, token: this.token };
    if (error instanceof ProtocolError || error instanceof RemoteError) {
      logger.warn({ ...facts, code: error.code }, "the node broke off a task stream");
    } else if (!(error instanceof TransportError)) {
      logger.error({ ...facts, error }, "a task stream failed");
    }
    // Without the end of its input no node starts: the task is as good as never sent. After it, only the node knows; its lease decides.
    if (!this.#inputSent && !this.#answered) {
      await this.#step({ kind: "rejected", token: this.token, now: clock.now() }, UNREACHABLE);
    }
  }
}
