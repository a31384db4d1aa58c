import {
  CLOSE_CODES,
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
import { awaitPeerEnd, PEER_END_MS } from "../sessions/peer-end.ts";
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
const BROKEN_OFF: TaskFailure = {
  code: "STREAM_BROKEN_OFF",
  message: "the node broke the task's stream off before it accepted",
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
  #isOurFault = false;
  /** The node's latest answer. */
  #answer: TaskFromNode["type"] | undefined;
  #cancelTimer: () => void = () => undefined;

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

  /** Whether the node said that the attempt runs. */
  get wasAccepted(): boolean {
    return this.#answer === "accepted";
  }

  /** Bring the task over and hear the node out. Never rejects for what the node or the network does. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await using stream = await this.#session.openStream({ signal });
      this.#messages = new MessageStream(stream);
      await this.#converse(this.#messages);
    } catch (error) {
      if (this.#messages !== undefined) return this.#broke(error);
      // No stream, no attempt: the connection went away, or the gateway stops.
      if (!signal.aborted) this.#broke(error);
      await this.#giveBack();
    } finally {
      this.#messages = undefined;
      this.#cancelTimer();
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

  /** The attempt is over, by whatever came first: a node that does not end the stream now has it reset. */
  attemptOver(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(PEER_END_MS, () => this.#messages?.reset(CLOSE_CODES.timeout));
  }

  async #converse(messages: MessageStream): Promise<void> {
    const sending = this.#send(messages).catch((error: unknown) => this.#sendFailed(error, messages));
    const failure = await this.#hear(messages).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    // Who has said its last word reads no more of the input.
    if (!this.#inputSent) messages.reset(CLOSE_CODES.ok);
    await sending;
    await this.#settle(failure?.error);
    await this.#endOurSide(messages, failure?.error);
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

  #sendFailed(error: unknown, messages: MessageStream): void {
    // A node that turned the task down may have stopped reading; what it said explains it.
    if (error instanceof TransportError) return;
    this.#isOurFault = true;
    this.#log("error", { error }, "a task could not be sent");
    messages.reset(CLOSE_CODES.internal);
  }

  async #hear(messages: MessageStream): Promise<void> {
    for await (const message of messages.messages(parseTaskFromNode)) {
      this.#answer = message.type;
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

  /** What the end of the stream means for the attempt. Once it was accepted, nothing: heartbeats and its result decide. */
  async #settle(failure: unknown): Promise<void> {
    if (failure !== undefined) this.#broke(failure);
    if (this.#answer !== undefined) return;
    if (this.#isOurFault || (failure instanceof TransportError && failure.code !== "STREAM_RESET")) {
      // Without the end of its input no node starts: the task is as good as never sent. After it, only the node knows; its lease decides.
      if (!this.#inputSent) await this.#giveBack();
      return;
    }
    const why = failure instanceof RemoteError ? failure : BROKEN_OFF;
    await this.#step({ kind: "broken-off", token: this.token, now: this.#options.clock.now() }, why);
  }

  async #endOurSide(messages: MessageStream, failure: unknown): Promise<void> {
    if (failure instanceof TransportError) return;
    try {
      if (failure instanceof ProtocolError) await messages.fail(failure);
      else await messages.end({ type: "end" });
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
    }
    await awaitPeerEnd(messages, this.#options.clock);
  }

  async #giveBack(): Promise<void> {
    await this.#step({ kind: "rejected", token: this.token, now: this.#options.clock.now() }, UNREACHABLE);
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

  #broke(error: unknown): void {
    if (error instanceof ProtocolError || error instanceof RemoteError) {
      this.#log("warn", { code: error.code }, "the node broke off a task stream");
    } else if (!(error instanceof TransportError)) {
      this.#log("error", { error }, "a task stream failed");
    }
  }

  #log(level: "warn" | "error", facts: Readonly<Record<string, unknown>>, message: string): void {
    const { taskId } = this.#task;
    const { deviceId } = this.#session;
    this.#options.logger[level]({ task: taskId, device: deviceId, token: this.token, ...facts }, message);
  }
}
