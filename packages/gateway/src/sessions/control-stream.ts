import type { ErrorFacts, GatewayControlMessage, MessageStream } from "@quaymesh/protocol";
import { TransportError } from "@quaymesh/protocol";
import { nextTurn } from "./next-turn.ts";

/** Messages that may wait for a peer that does not read. */
const MAX_WAITING = 256;

/** The way out of `session.open`: messages in order, one at a time. A peer that is gone is no error here: its session ends on its own. */
export class ControlStream {
  #stream: MessageStream | undefined;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #ended = false;
  #failed = false;
  readonly #peerEnd = Promise.withResolvers<void>();

  attach(stream: MessageStream): void {
    this.#stream ??= stream;
  }

  /** Send after everything before. `revoked` is the last message and ends our side. */
  send(message: GatewayControlMessage): Promise<void> {
    return this.#enqueue(async (stream) => {
      if (message.type !== "revoked") return await stream.send(message);
      this.#ended = true;
      return await stream.end(message);
    });
  }

  /** Whether our side ended with an error frame. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  /** Resolves once nothing more comes from the peer: it ended its side, or the stream is gone. */
  get peerEnd(): Promise<void> {
    return this.#peerEnd.promise;
  }

  /** The peer's side is over. */
  peerEnded(): void {
    this.#peerEnd.resolve();
  }

  /** End our side with an error frame. */
  fail(error: ErrorFacts): Promise<void> {
    this.#failed = true;
    return this.#enqueue(async (stream) => {
      this.#ended = true;
      await stream.fail(error);
    });
  }

  /** Resolves when what was sent is with the transport and the transport had a turn to put it on the wire; for a peer that does not read, after two turns all the same. */
  async flushed(): Promise<void> {
    await Promise.race([this.#last, nextTurn()]);
    await nextTurn();
  }

  #enqueue(write: (stream: MessageStream) => Promise<void>): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined || this.#ended) return Promise.resolve();
    if (this.#waiting >= MAX_WAITING) {
      this.#ended = true;
      stream.reset(0);
      return Promise.resolve();
    }
    this.#waiting += 1;
    this.#last = this.#last
      .then(() => write(stream))
      .catch(ignoreGone)
      .finally(() => {
        this.#waiting -= 1;
      });
    return this.#last;
  }
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof TransportError)) throw error;
}
