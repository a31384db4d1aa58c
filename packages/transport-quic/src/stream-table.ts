import { CLOSE_CODES } from "@quaymesh/protocol";
import type { ByteStream, CloseInfo } from "@quaymesh/protocol";
import { AsyncQueue } from "./async-queue.ts";
import { connectionClosed } from "./errors.ts";
import { QuicStream } from "./stream.ts";
import type { StreamParent } from "./stream.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { StreamWriter } from "./stream-writer.ts";

/** RFC 9000 section 2.1: the two low bits give initiator and direction. */
const ID_STEP = 4;
/** quiche's default priority; setting it again changes nothing but makes quiche create the stream. */
const DEFAULT_URGENCY = 127;

/** How many waiting readers are looked at in every turn. */
const END_CHECK_READERS = 4;
/** How often more than those are. */
const END_CHECK_MS = 50;

/** Up to this many waiting readers are asked one by one. */
const GUESS_READERS = 64;

/** What a stream table needs of its connection. */
export interface TableParent extends StreamParent {
  /** Whether this stream of the peer's may ever be taken up; one that may not stays unread in quiche until the connection ends. */
  admits(id: number): boolean;
  /** Of `wanted` new streams of the peer's, how many may be taken up this turn; the others wait in quiche, and hold its credit. */
  share(wanted: number): number;
  /** A stream came to be. */
  opened(id: number, byPeer: boolean): void;
}

interface Opener {
  readonly settle: PromiseWithResolvers<QuicStream>;
  isWaiting: boolean;
}

/** The streams of one connection: ids, credit to open more, and those the peer opened. */
export class StreamTable {
  readonly #parent: TableParent;
  readonly #isDialer: boolean;
  readonly #streams = new Map<number, QuicStream>();
  readonly #incoming = new AsyncQueue<ByteStream>(() => this.#refuseIncoming());
  /** Once a stream had to wait for room; as with those below, most connections never have any. */
  #blocked: Set<StreamWriter> | undefined;
  readonly #parked = new Set<StreamReader>();
  #endsCheckedAt = 0;
  /** Whether streams may have been missed this turn. */
  #hasGuessed = false;
  /** Whether streams that arrived wait for a later turn. */
  #isHolding = false;
  #corked: StreamWriter[] = [];
  #openers: Opener[] = [];
  #nextOwnId: number;
  #nextPeerId: number;
  /** Ids below `#nextPeerId` that have not been seen: datagrams arrive in any order. */
  #skipped: Set<number> | undefined;
  #credit = 0;
  #close: CloseInfo | undefined;

  constructor(parent: TableParent, isDialer: boolean) {
    this.#parent = parent;
    this.#isDialer = isDialer;
    this.#nextOwnId = isDialer ? 0 : 1;
    this.#nextPeerId = isDialer ? 1 : 0;
  }

  /** Streams the peer opened. */
  get incoming(): AsyncIterable<ByteStream> {
    return this.#incoming;
  }

  /** A new stream, as soon as the peer allows one. */
  async open(signal: AbortSignal | undefined): Promise<QuicStream> {
    signal?.throwIfAborted();
    if (this.#close !== undefined) throw connectionClosed(this.#close);
    if (this.#openers.length === 0 && this.#hasCredit()) return this.#create();
    const opener: Opener = { settle: Promise.withResolvers<QuicStream>(), isWaiting: true };
    this.#openers.push(opener);
    const abort = (): void => {
      opener.isWaiting = false;
      opener.settle.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await opener.settle.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Deliver what arrived, resume writers, grant streams. @param isReadable whether quiche says that anything arrived */
  process(isReadable: boolean): void {
    if (isReadable) this.#deliver();
    else this.#isHolding = false;
    if (this.#blocked !== undefined && this.#blocked.size > 0) this.#resume(this.#blocked);
    if (this.#openers.length > 0) this.#grant();
  }

  /** The turn's promise continuations have run: deliver what {@link StreamTable.process} did not look for, and hand gathered writes to quiche. */
  uncork(): void {
    this.#deliverRest();
    if (this.#corked.length === 0) return;
    const corked = this.#corked;
    this.#corked = [];
    for (const writer of corked) writer.uncork();
  }

  addParked(reader: StreamReader): void {
    this.#parked.add(reader);
  }

  /**
   * Look for ends that quiche does not announce, at once while few readers wait, else now and then.
   * @returns when to be called again, `Infinity` where nothing was put off
   */
  checkEnds(now: number): number {
    if (this.#parked.size === 0) return Infinity;
    const dueAt = this.#endsCheckedAt + END_CHECK_MS;
    if (this.#parked.size > END_CHECK_READERS && now < dueAt) return dueAt;
    this.#endsCheckedAt = now;
    for (const reader of this.#parked) {
      reader.checkEnd();
      if (!reader.isWaiting) this.#parked.delete(reader);
    }
    return Infinity;
  }

  addCorked(writer: StreamWriter): void {
    this.#corked.push(writer);
  }

  addBlocked(writer: StreamWriter): void {
    this.#blocked ??= new Set();
    this.#blocked.add(writer);
  }

  /** Whether a stream of the peer's was ever seen. */
  get peerHasSpoken(): boolean {
    return this.#nextPeerId >= ID_STEP;
  }

  /** Whether nothing is under way, from either side, and nothing waits that may be. */
  get isIdle(): boolean {
    return this.#streams.size === 0 && !this.#isHolding;
  }

  remove(id: number): void {
    this.#streams.delete(id);
  }

  /** The connection is over. @param readOut whether bytes that arrived before may still be read */
  fail(close: CloseInfo, readOut: boolean): void {
    // What overtook others and came in the same turn as the close, as far as the peer's share goes: what it asked beyond it and did not wait for is not asked any more.
    if (readOut) this.#deliverRest();
    this.#close = close;
    this.#incoming.end();
    // An error and its stack cost as much as all else here, and most connections end with nobody waiting.
    if (this.#streams.size === 0 && this.#openers.length === 0) return;
    const error = connectionClosed(close);
    for (const stream of this.#streams.values()) stream.connectionClosed(error, readOut);
    this.#streams.clear();
    this.#blocked?.clear();
    this.#parked.clear();
    this.#corked = [];
    const openers = this.#openers;
    this.#openers = [];
    for (const opener of openers) opener.settle.reject(error);
  }

  // quiche's list of readable streams costs as much as reading from them. Where few streams are waited for, they and the peer's next ones are asked instead; should
  // anything still be unread when the turn ends, the list is looked at after all: streams that overtook others are found there.
  #deliver(): void {
    if (this.#parked.size > GUESS_READERS || (this.#skipped !== undefined && this.#skipped.size > 0)) {
      this.#deliverAll();
      return;
    }
    this.#hasGuessed = true;
    for (const reader of this.#parked) reader.poll();
    const { native } = this.#parent;
    const first = this.#nextPeerId;
    let fresh = 0;
    for (let id = first; native.streamReadable(id) && this.#parent.admits(id); id += ID_STEP) fresh += 1;
    if (fresh === 0) return;
    const taken = this.#parent.share(fresh);
    for (let index = 0; index < taken; index += 1) this.#admit(first + index * ID_STEP);
    // The others have their turn another time.
    this.#isHolding = taken < fresh;
    if (this.#isHolding) this.#hasGuessed = false;
  }

  #deliverRest(): void {
    if (!this.#hasGuessed) return;
    this.#hasGuessed = false;
    if (this.#parent.native.isReadable()) this.#deliverAll();
  }

  #deliverAll(): void {
    let fresh: number[] | undefined;
    for (const id of this.#parent.native.readable()) {
      const stream = this.#streams.get(id);
      if (stream !== undefined) stream.readable();
      else if (this.#isNew(id)) (fresh ??= []).push(id);
    }
    this.#isHolding = false;
    // quiche lists streams by arrival; the port promises the order they were opened in.
    if (fresh === undefined) return;
    fresh.sort((a, b) => a - b);
    const taken = this.#parent.share(fresh.length);
    this.#isHolding = taken < fresh.length;
    for (let index = 0; index < taken; index += 1) this.#admit(fresh[index] ?? 0);
  }

  #isNew(id: number): boolean {
    const isPeers = (id & 1) === (this.#isDialer ? 1 : 0);
    return isPeers && (id >= this.#nextPeerId || this.#skipped?.has(id) === true) && this.#parent.admits(id);
  }

  #admit(id: number): void {
    this.#skipped?.delete(id);
    for (; this.#nextPeerId < id; this.#nextPeerId += ID_STEP) (this.#skipped ??= new Set()).add(this.#nextPeerId);
    this.#nextPeerId = Math.max(this.#nextPeerId, id + ID_STEP);
    const stream = new QuicStream(id, this.#parent, false);
    this.#streams.set(id, stream);
    this.#parent.opened(id, true);
    if (!this.#incoming.push(stream)) stream.reset(CLOSE_CODES.ok);
  }

  #refuseIncoming(): void {
    for (const stream of this.#incoming.abandon()) stream.reset(CLOSE_CODES.ok);
  }

  // Streams blocked longest go first; one that got some room goes to the back.
  #resume(blocked: Set<StreamWriter>): void {
    const waiting = Array.from(blocked);
    for (const writer of waiting) {
      blocked.delete(writer);
      if (writer.resume()) blocked.add(writer);
    }
  }

  #grant(): void {
    this.#openers = this.#openers.filter((opener) => opener.isWaiting);
    while (this.#openers.length > 0 && this.#hasCredit()) this.#openers.shift()?.settle.resolve(this.#create());
  }

  #hasCredit(): boolean {
    if (this.#credit > 0) return true;
    const { native } = this.#parent;
    const last = this.#nextOwnId - ID_STEP;
    if (last >= 0) {
      // quiche counts from the highest stream it knows, and it knows a stream from its first write on.
      try {
        native.streamPriority(last, DEFAULT_URGENCY, true);
      } catch {
        // Finished already, so it was counted.
      }
    }
    this.#credit = native.peerStreamsLeftBidi();
    return this.#credit > 0;
  }

  #create(): QuicStream {
    this.#credit -= 1;
    const id = this.#nextOwnId;
    this.#nextOwnId += ID_STEP;
    const stream = new QuicStream(id, this.#parent, true);
    this.#streams.set(id, stream);
    this.#parent.opened(id, false);
    return stream;
  }
}
