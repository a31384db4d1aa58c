import type { ErrorFacts, GatewayControlMessage, MessageStream } from "@quaymesh/protocol";
import { TransportError } from "@quaymesh/protocol";
import { nextTurn } from "./next-turn.ts";

/** Messages that may wait for a peer that does not read. */
const MAX_WAITING = 256;

/** The way out of `session.open`: messages in order, one at a time. A peer that is gone is no error here: its session ends on its own. */
export class ControlStream {
  #stream: MessageStream | undefined;
  /** The last of the messages that wait. */
  #last: Promise<void> | undefined;
  #waiting = 0;
  #ended = false;
  #failed = false;
  #hasPeerEnded = false;
  /** Once somebody waits for the peer's end. */
  #peerEnd: PromiseWithResolvers<void> | undefined;

  attach(stream: MessageStream): void {
    this.#stream ??= stream;
  }

  /** Send after everything before. `revoked` is the last message and ends our side. @returns `undefined` where the transport took it at once */
  send(message: GatewayControlMessage): Promise<void> | undefined {
    return this.#enqueue((stream) => {
      if (message.type !== "revoked") return stream.send(message);
      this.#ended = true;
      return stream.end(message);
    });
  }

  /** Whether our side ended with an error frame. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  /** Resolves once nothing more comes from the peer: it ended its side, or the stream is gone. */
  get peerEnd(): Promise<void> {
    if (this.#hasPeerEnded) return Promise.resolve();
    this.#peerEnd ??= Promise.withResolvers<void>();
    return this.#peerEnd.promise;
  }

  /** The peer's side is over. */
  peerEnded(): void {
    this.#hasPeerEnded = true;
    this.#peerEnd?.resolve();
  }

  /** End our side with an error frame. @returns `undefined` where the transport took it at once */
  fail(error: ErrorFacts): Promise<void> | undefined {
    this.#failed = true;
    return this.#enqueue((stream) => {
      this.#ended = true;
      return stream.fail(error);
    });
  }

  /** Resolves when what was sent is with the transport and the transport had a turn to put it on the wire; for a peer that does not read, after two turns all the same. */
  async flushed(): Promise<void> {
    if (this.#last !== undefined) await Promise.race([this.#last, nextTurn()]);
    await nextTurn();
  }

  #enqueue(write: (stream: MessageStream) => Promise<void> | undefined): Promise<void> | undefined {
    const stream = this.#stream;
    if (stream === undefined || this.#ended) return undefined;
    if (this.#waiting >= MAX_WAITING) {
      this.#ended = true;
      stream.reset(0);
      return undefined;
    }
    const sending = this.#last === undefined ? begin(write, stream) : this.#last.then(() => write(stream));
    if (sending === undefined) return undefined;
    this.#waiting += 1;
    this.#last = sending.catch(ignoreGone).finally(() => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#last = undefined;
    });
    return this.#last;
  }
}

/** As `write`, where a peer that is gone is no error. */
function begin(
  write: (stream: MessageStream) => Promise<void> | undefined,
  stream: MessageStream,
): Promise<void> | undefined {
  try {
    return write(stream);
  } catch (error) {
    ignoreGone(error);
    return undefined;
  }
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof TransportError)) throw error;
}
