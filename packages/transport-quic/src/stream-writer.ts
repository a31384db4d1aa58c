import type { TransportError } from "@quaymesh/protocol";
import { SHUTDOWN } from "./binding.ts";
import { streamEnded, streamErrorCode, streamReset } from "./errors.ts";
import type { StreamHost } from "./stream.ts";

/** Writes up to this size are gathered; larger ones go to quiche without a copy of ours. */
const GATHER_BELOW_BYTES = 4096;

/**
 * `finished`: all is with quiche, FIN included. `failed`: reset, stopped by the peer, or the connection is over.
 */
type WriteState =
  | { readonly kind: "open" }
  | { readonly kind: "ending" }
  | { readonly kind: "finished" }
  | { readonly kind: "failed"; readonly error: TransportError };

const OPEN: WriteState = { kind: "open" };
const ENDING: WriteState = { kind: "ending" };
const FINISHED: WriteState = { kind: "finished" };

/**
 * The write half of a stream. Small writes are gathered until the turn ends; what quiche has no room for waits here, and writers with it.
 *
 * The FIN rule (ADR 0003): quiche can lose a FIN that travels alone, so the last byte written stays here until the turn ends, and an `end` that
 * comes in time travels on it.
 */
export class StreamWriter {
  readonly #id: number;
  readonly #host: StreamHost;
  #state: WriteState = OPEN;
  /** Gathered bytes `[#start, #end)`, in wire order before `#overflow`. */
  #cork: Uint8Array | undefined;
  #start = 0;
  #end = 0;
  #overflow: Uint8Array[] = [];
  #onCorkList = false;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(id: number, host: StreamHost) {
    this.#id = id;
    this.#host = host;
  }

  /** Whether anything was handed to quiche. */
  hasSent = false;

  /** Whether nothing more will be sent. */
  get isDone(): boolean {
    return this.#state.kind === "finished" || this.#state.kind === "failed";
  }

  /** Whether `end` was called. */
  get isEnded(): boolean {
    return this.#state.kind === "ending" || this.#state.kind === "finished";
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#state !== OPEN) throw this.#closedError();
    return bytes.length === 0 ? this.#room?.promise : this.#accept(bytes);
  }

  end(bytes: Uint8Array | undefined): Promise<void> | undefined {
    if (this.#state.kind === "ending") return this.#room?.promise;
    if (this.#state.kind === "finished") return undefined;
    if (this.#state.kind === "failed") throw this.#state.error;
    if (bytes !== undefined && bytes.length > 0) {
      if (!this.#pending()) return this.#sendLast(bytes);
      void this.#accept(bytes);
    }
    this.#state = ENDING;
    this.#host.wake();
    if (this.#pending()) this.#push();
    else {
      this.#host.endAlone();
      this.#finish();
    }
    return this.#pending() ? this.#waitForRoom() : undefined;
  }

  /** The turn ends: gathered bytes go to quiche. */
  uncork(): void {
    this.#onCorkList = false;
    if (!this.#pending() || this.#state.kind === "failed") return;
    this.#push();
  }

  /** There may be room again. @returns whether the stream still waits for some */
  resume(): boolean {
    if (this.#pending() && this.#state.kind !== "failed") this.#push();
    return this.#pending();
  }

  /** The peer reset its side with `resetCode`: find out, without writing, whether it asked us to stop as well. */
  checkStopped(resetCode: number): void {
    if (this.isDone) return;
    try {
      this.#host.native.streamCapacity(this.#id);
    } catch (error) {
      // Unknown to quiche: forgotten once the reset was read, which takes that our side was stopped before.
      this.fail(streamReset(streamErrorCode(error) ?? resetCode));
    }
  }

  /** Abandon what was not sent; the peer sees a reset. */
  reset(code: number): void {
    if (this.isDone) return;
    try {
      this.#host.native.streamShutdown(this.#id, SHUTDOWN.write, code);
    } catch {
      // Unknown to quiche: nothing was ever sent.
    }
    this.#host.wake();
    this.fail(streamReset(code));
  }

  /** Writes throw `error` from now on, and those that wait reject with it. */
  fail(error: TransportError): void {
    if (this.isDone) return;
    this.#state = { kind: "failed", error };
    this.#dropCork();
    this.#overflow = [];
    this.#host.settled();
    const room = this.#room;
    this.#room = undefined;
    room?.reject(error);
  }

  #closedError(): TransportError {
    return this.#state.kind === "failed" ? this.#state.error : streamEnded();
  }

  // A request or an answer in one piece: nothing to gather it with, and nothing to hold back.
  #sendLast(bytes: Uint8Array): Promise<void> | undefined {
    this.#state = ENDING;
    const sent = this.#send(bytes, true);
    if (this.isDone) return undefined;
    if (sent < bytes.length) return this.#hold(bytes.subarray(sent));
    this.#finish();
    return undefined;
  }

  #pending(): boolean {
    return this.#end > this.#start || this.#overflow.length > 0;
  }

  #waitForRoom(): Promise<void> {
    if (this.#room === undefined) {
      this.#room = Promise.withResolvers<void>();
      // A writer that did not keep the promise must not end the process when the peer goes away.
      this.#room.promise.catch(() => {});
    }
    return this.#room.promise;
  }

  #accept(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#overflow.length === 0 && bytes.length <= GATHER_BELOW_BYTES) {
      if (this.#gather(bytes)) return undefined;
      this.#push();
      if (this.#state.kind === "failed") throw this.#state.error;
      if (this.#gather(bytes)) return undefined;
      return this.#hold(bytes);
    }
    if (this.#pending()) {
      this.#push();
      if (this.#state.kind === "failed") throw this.#state.error;
      if (this.#pending()) return this.#hold(bytes);
    }
    // All but the last byte, which an `end` in this turn will need.
    const head = bytes.subarray(0, -1);
    const sent = this.#send(head, false);
    if (this.#state.kind === "failed") throw this.#state.error;
    if (sent < head.length) return this.#hold(bytes.subarray(sent));
    this.#gather(bytes.subarray(-1));
    return undefined;
  }

  #gather(bytes: Uint8Array): boolean {
    const capacity = this.#host.corks.bytes;
    if (this.#cork === undefined) {
      this.#cork = this.#host.corks.take();
    } else if (this.#end + bytes.length > capacity) {
      if (this.#start === 0 || this.#end - this.#start + bytes.length > capacity) return false;
      this.#cork.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#cork.set(bytes, this.#end);
    this.#end += bytes.length;
    if (!this.#onCorkList) {
      this.#onCorkList = true;
      this.#host.corked(this);
    }
    return true;
  }

  // The caller may reuse its bytes as soon as we return.
  #hold(bytes: Uint8Array): Promise<void> {
    // Not `slice`, which does not copy where `bytes` is a Buffer.
    this.#overflow.push(new Uint8Array(bytes));
    this.#host.blocked(this);
    return this.#waitForRoom();
  }

  // Give quiche what waits, in order, the FIN on the last of it.
  #push(): void {
    const ending = this.#state === ENDING;
    while (this.#cork !== undefined) {
      const part = this.#cork.subarray(this.#start, this.#end);
      const sent = this.#send(part, ending && this.#overflow.length === 0);
      if (this.#cork === undefined) return;
      if (sent < part.length) {
        this.#start += sent;
        this.#host.blocked(this);
        return;
      }
      this.#dropCork();
    }
    for (let part = this.#overflow[0]; part !== undefined; part = this.#overflow[0]) {
      const sent = this.#send(part, ending && this.#overflow.length === 1);
      if (this.#overflow.length === 0) return;
      if (sent < part.length) {
        this.#overflow[0] = part.subarray(sent);
        this.#host.blocked(this);
        return;
      }
      this.#overflow.shift();
    }
    if (ending) this.#finish();
    this.#room?.resolve();
    this.#room = undefined;
  }

  #send(bytes: Uint8Array, fin: boolean): number {
    try {
      const sent = this.#host.native.streamSend(this.#id, bytes, fin);
      this.hasSent = true;
      this.#host.spoke();
      return sent ?? 0;
    } catch (error) {
      this.fail(streamReset(streamErrorCode(error) ?? 0));
      return 0;
    }
  }

  #finish(): void {
    this.#state = FINISHED;
    this.#host.settled();
  }

  #dropCork(): void {
    if (this.#cork !== undefined) this.#host.corks.give(this.#cork);
    this.#cork = undefined;
    this.#start = 0;
    this.#end = 0;
  }
}
