import type { TransportError } from "@quaymesh/protocol";
import { SHUTDOWN } from "./binding.ts";
import { streamErrorCode, streamReset } from "./errors.ts";
import type { StreamHost } from "./stream.ts";

/** How the read side ended, if it did. `draining`: the connection is over, what arrived before can still be read. */
type ReadState =
  | { readonly kind: "open" }
  | { readonly kind: "ended" }
  | { readonly kind: "draining"; readonly error: TransportError }
  | { readonly kind: "failed"; readonly error: TransportError };

const OPEN: ReadState = { kind: "open" };
const ENDED: ReadState = { kind: "ended" };

/**
 * The read half of a stream. Bytes are taken from quiche only when somebody reads, so that an unread stream closes the peer's
 * window.
 */
export class StreamReader {
  readonly #id: number;
  readonly #host: StreamHost;
  #state: ReadState = OPEN;
  #waiting: PromiseWithResolvers<Uint8Array | null> | undefined;
  /** Where the waiting reader wants its bytes. */
  #into: Uint8Array | undefined;
  #isHeld = false;

  constructor(id: number, host: StreamHost) {
    this.#id = id;
    this.#host = host;
  }

  /** Whether nothing more can come. */
  get isDone(): boolean {
    return this.#state.kind !== "open";
  }

  read(into?: Uint8Array): Promise<Uint8Array | null> {
    if (into?.length === 0) return Promise.reject(new RangeError("cannot read into nothing"));
    // Reads are answered in the order they were asked.
    if (this.#waiting !== undefined) return this.#waiting.promise.then(() => this.read(into));
    const state = this.#state;
    if (state.kind === "ended") return Promise.resolve(null);
    if (state.kind === "failed") return Promise.reject(state.error);
    const taken = this.#take(into);
    if (taken !== undefined) return Promise.resolve(taken);
    // `#take` may have found the end or a reset.
    const now: ReadState = this.#state;
    if (now.kind === "failed" || now.kind === "draining") return Promise.reject(now.error);
    const waiting = Promise.withResolvers<Uint8Array | null>();
    this.#waiting = waiting;
    this.#into = into;
    this.checkEnd();
    if (this.isWaiting) this.#host.parked(this);
    return waiting.promise;
  }

  /** Whether somebody waits for bytes. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /**
   * Find an end that quiche does not announce: where the FIN comes with a repetition of bytes that were read already, it sets the final size and drops the frame, and the
   * stream never turns readable.
   */
  checkEnd(): void {
    const { native } = this.#host;
    if (this.#waiting === undefined || this.#isHeld || !this.#host.existed()) return;
    if (!native.streamFinished(this.#id)) return;
    this.readable();
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#state = ENDED;
    this.#host.settled();
    waiting.resolve(null);
  }

  /** Take what is there, if somebody waits for it. */
  poll(): void {
    if (this.#waiting !== undefined && this.#host.native.streamReadable(this.#id)) this.readable();
  }

  /** quiche says the stream is readable. */
  readable(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const taken = this.#take(this.#into);
    if (taken !== undefined) {
      this.#waiting = undefined;
      this.#into = undefined;
      waiting.resolve(taken);
    } else if (this.#state.kind === "failed") {
      this.#waiting = undefined;
      waiting.reject(this.#state.error);
    }
  }

  // Bytes, `null` at the end, `undefined` where nothing is there yet or the stream failed.
  #take(into: Uint8Array | undefined): Uint8Array | null | undefined {
    if (this.#isHeld) return undefined;
    const { native, reads } = this.#host;
    let result: [number, boolean] | null;
    try {
      result = native.streamRecv(this.#id, into ?? reads.target());
    } catch (error) {
      const code = streamErrorCode(error);
      // Otherwise quiche does not know the stream yet: nothing was sent on it, in either direction.
      if (code !== undefined) {
        this.fail(streamReset(code));
        this.#host.peerReset(code);
      }
      return undefined;
    }
    if (result === null) return undefined;
    this.#host.consumed();
    const [bytes, fin] = result;
    const view = bytes > 0 ? (into?.subarray(0, bytes) ?? reads.take(bytes)) : undefined;
    if (fin) {
      this.#state = ENDED;
      this.#host.settled();
      return view ?? null;
    }
    return view;
  }

  /** Read nothing from quiche for a while: it must not see the peer's end read (`lone-fins.ts`). */
  hold(): void {
    this.#isHeld = true;
  }

  /** Read on. */
  release(): void {
    this.#isHeld = false;
    this.readable();
    this.checkEnd();
  }

  /** Give up reading; the peer is told to stop. */
  stop(code: number): void {
    if (this.#state.kind !== "open") return;
    try {
      this.#host.native.streamShutdown(this.#id, SHUTDOWN.read, code);
    } catch {
      // Unknown to quiche or over already: nobody is left to tell.
    }
    this.#host.wake();
    this.fail(streamReset(code));
  }

  /** No more bytes: reads reject with `error`. */
  fail(error: TransportError): void {
    if (this.#state.kind !== "open" && this.#state.kind !== "draining") return;
    this.#state = { kind: "failed", error };
    this.#host.settled();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }

  /** The connection is over: what arrived before can be read, then reads reject with `error`. */
  drain(error: TransportError): void {
    if (this.#state.kind !== "open") return;
    this.release();
    if (this.#waiting === undefined) this.#state = { kind: "draining", error };
    else this.fail(error);
  }
}
