import { Bell } from "../bell.ts";
import { NodeError } from "../errors.ts";
import { AckWaiters } from "./ack-waiters.ts";
import { OutboxCursor } from "./cursor.ts";
import { nodeFiles, type OutboxFiles } from "./files.ts";
import { recordBytes, type OutboxEvent } from "./record.ts";
import { copyGeneration, discardGeneration, openGeneration, type Generation, type OutboxPlace } from "./generation.ts";
import { settleGenerations } from "./generations.ts";
import type { RecentEvent } from "./recent.ts";
import type { OutboxRepair } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import type { Watermarks } from "./watermarks.ts";

/** Bytes on disk beyond which an outbox refuses events, where nobody says otherwise. */
export const DEFAULT_MAX_BYTES = 268_435_456;
const DEFAULT_SEGMENT_BYTES = 4_194_304;
/** The newest events stay in memory, up to so many bytes of their records: a node that is online sends them without reading them back. */
const DEFAULT_RECENT_BYTES = 4_194_304;
/** Most bytes in one commit: bounds how long a writer waits for those before it. */
const MAX_COMMIT_BYTES = 1_048_576;
/** Share of `maxBytes` that only task reports may use: a full outbox must not keep a finished task from saying so. */
const RESERVE_SHARE = 0.25;

/** Options of {@link Outbox.open}. */
export interface OutboxOptions {
  /** Made where it is missing. The caller sees to it that no other process has it open. */
  readonly directory: string;
  /** Bytes on disk beyond which {@link Outbox.append} refuses. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Default 4 MiB, or an eighth of `maxBytes` where that is less. */
  readonly segmentBytes?: number;
  /** Bytes of the newest records whose events stay in memory until they are acknowledged; 0 is none. Default 4 MiB. */
  readonly recentBytes?: number;
  /** Default: the machine's file system. */
  readonly files?: OutboxFiles;
}

/** What {@link Outbox.renumber} did. */
export interface Renumbering {
  /** By how much each number went down. */
  readonly dropped: number;
  /** Events that have a new number. */
  readonly kept: number;
}

/** How an event is to be recorded. */
export interface AppendOptions {
  /** As `PublishOptions.durability`. */
  readonly durability?: "durable" | "buffered";
  /** May use the space kept free for task reports. */
  readonly reserve?: boolean;
}

interface Waiting {
  readonly event: OutboxEvent;
  readonly bytes: number;
  readonly durability: "durable" | "buffered";
  readonly resolve: (seq: number) => void;
  readonly reject: (cause: unknown) => void;
}

/**
 * Events on disk until the gateway has committed them, numbered 1, 2, 3, … within an epoch. One fsync serves all appends that wait for it.
 */
export class Outbox implements AsyncDisposable {
  /** What had to be cut at open, if anything. */
  readonly repair: OutboxRepair | undefined;
  /** Slots of the watermarks, of two, that were not what was written. */
  readonly damagedMarks: number;
  /** Rings when {@link Outbox.durable} or {@link Outbox.acked} grew. */
  readonly changed = new Bell();
  readonly #files: OutboxFiles;
  readonly #place: OutboxPlace;
  readonly #maxBytes: number;
  #generation: Generation;
  readonly #ackWaiters = new AckWaiters();
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #acked: number;
  #sentThrough: number;
  #committing: Promise<void> | undefined;
  #tidying: Promise<void> | undefined;
  #marksAreStale = false;
  #renumbering: PromiseWithResolvers<Renumbering> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(place: OutboxPlace, generation: Generation, maxBytes: number) {
    this.repair = generation.repair;
    this.damagedMarks = generation.damagedMarks;
    this.#files = place.files;
    this.#place = place;
    this.#generation = generation;
    this.#maxBytes = maxBytes;
    this.#acked = generation.acked;
    this.#sentThrough = generation.acked;
  }

  /**
   * Open or begin an outbox.
   * @throws {NodeError} `OUTBOX_CORRUPT`, `OUTBOX_IO`
   */
  static async open(options: OutboxOptions): Promise<Outbox> {
    const { directory, files = nodeFiles, maxBytes = DEFAULT_MAX_BYTES, recentBytes = DEFAULT_RECENT_BYTES } = options;
    const segmentBytes = options.segmentBytes ?? Math.min(DEFAULT_SEGMENT_BYTES, Math.ceil(maxBytes / 8));
    const place: OutboxPlace = { files, directory, segmentBytes, recentBytes };
    try {
      await files.makeDirectory(directory);
      const number = await settleGenerations(files, directory);
      return new Outbox(place, await openGeneration(place, number), maxBytes);
    } catch (cause) {
      if (cause instanceof NodeError) throw cause;
      throw new NodeError("OUTBOX_IO", `could not open the outbox in ${directory}`, { cause });
    }
  }

  /** 16 random bytes that name this numbering. */
  get epoch(): Uint8Array {
    return this.#generation.epoch;
  }

  /** The gateway has everything up to here; 0 is nothing. */
  get acked(): number {
    return this.#acked;
  }

  /** Everything up to here is on disk; 0 is nothing. */
  get durable(): number {
    return this.#generation.log.durable;
  }

  /** Events up to here were sent since this outbox was opened, or are acknowledged: those the gateway has under these numbers are these. Of others nobody knows: an image of this directory may have been put back. */
  get sentThrough(): number {
    return Math.max(this.#sentThrough, this.#acked);
  }

  /** Events up to `seq` are about to be sent. */
  sending(seq: number): void {
    this.#sentThrough = Math.max(this.#sentThrough, seq);
  }

  /** Bytes on disk, and those about to be. */
  get bytes(): number {
    return this.#generation.log.bytes + this.#queuedBytes;
  }

  /** 0 empty, 1 full for ordinary events; above 1 the reserve is in use. */
  get fill(): number {
    return this.bytes / this.#maxBytes;
  }

  /**
   * Record an event. Its data belongs to the outbox from now on, and must not be changed.
   * @returns its sequence: when it is on disk, or, `buffered`, when the operating system has it
   * @throws {NodeError} `OUTBOX_FULL`, `OUTBOX_DISK_FULL`, `OUTBOX_IO`, `NODE_STOPPED`; the event then was not recorded
   */
  async append(event: OutboxEvent, options: AppendOptions = {}): Promise<number> {
    if (this.#closed !== undefined) throw new NodeError("NODE_STOPPED", "the outbox is closed");
    const bytes = recordBytes(event);
    const most = options.reserve === true ? this.#maxBytes * (1 + RESERVE_SHARE) : this.#maxBytes;
    if (this.bytes + bytes > most) {
      throw new NodeError(
        "OUTBOX_FULL",
        `the outbox holds ${this.bytes} of ${this.#maxBytes} bytes that the gateway does not have yet: try again when it is reachable`,
        { details: { bytes: this.bytes, maxBytes: this.#maxBytes } },
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#queue.push({ event, bytes, durability: options.durability ?? "durable", resolve, reject });
    this.#queuedBytes += bytes;
    this.#committing ??= this.#commitAll();
    return promise;
  }

  /**
   * The gateway has everything up to `seq`: forget it.
   * @throws {NodeError} `GATEWAY_PROTOCOL` for a sequence that was never sent
   */
  acknowledge(seq: number): void {
    if (seq <= this.#acked || this.#closed !== undefined) return;
    if (seq > this.durable) {
      throw new NodeError(
        "GATEWAY_PROTOCOL",
        `the gateway acknowledged event ${seq} where ${this.durable} is the last`,
      );
    }
    this.#acked = seq;
    this.#generation.log.acknowledged(seq);
    this.#ackWaiters.reached(seq);
    this.changed.ring();
    // In between the next commit saves it: what a crash makes us send again is less than a segment.
    if (seq === this.durable || this.#generation.log.hasRemovable(seq)) this.#tidy();
  }

  /**
   * Resolves when the gateway has everything up to `seq`.
   * @throws {NodeError} `NODE_STOPPED` when the outbox closes first; rethrows `signal.reason`
   */
  async acknowledged(seq: number, signal?: AbortSignal): Promise<void> {
    if (seq <= this.#acked) return;
    if (this.#closed !== undefined) throw new NodeError("NODE_STOPPED", "the outbox is closed");
    await this.#ackWaiters.wait(seq, signal);
  }

  /** Read from the first event above `after` that is not acknowledged. */
  cursor(after: number): OutboxCursor {
    const { log } = this.#generation;
    const ackedNow = (): number => this.#acked;
    return new OutboxCursor(
      {
        files: this.#files,
        get acked() {
          return ackedNow();
        },
        get durable() {
          return log.durable;
        },
        segmentOf: (seq): Segment => log.segmentOf(seq),
        recent: (seq): RecentEvent | undefined => log.recent(seq),
      },
      after,
    );
  }

  /**
   * Give what the gateway does not have new numbers, from 1, under a new epoch. For when gateway and outbox no longer agree on the past, because one of them was
   * put back to an older state. Cursors made before read the old numbering and must not be used any more.
   * @throws {NodeError} `OUTBOX_IO`, `OUTBOX_DISK_FULL`, `OUTBOX_CORRUPT`: all is as before; `NODE_STOPPED`
   */
  async renumber(): Promise<Renumbering> {
    if (this.#closed !== undefined) throw new NodeError("NODE_STOPPED", "the outbox is closed");
    this.#renumbering ??= Promise.withResolvers<Renumbering>();
    const { promise } = this.#renumbering;
    this.#committing ??= this.#commitAll();
    return promise;
  }

  /** Finish what waits and release the files. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #finish(): Promise<void> {
    // Those who wait for room are to learn that none will come.
    this.changed.ring();
    await this.#committing;
    await this.#tidying;
    this.#ackWaiters.fail(new NodeError("NODE_STOPPED", "the outbox was closed before the gateway had the event"));
    try {
      await this.#saveMarks();
      await this.#generation.marksFile.sync();
    } catch {
      // Older watermarks only cost a repeat.
    }
    await this.#generation.marksFile.close();
    await this.#generation.log.close();
  }

  /** Runs while there is something to commit; {@link Outbox.close} awaits it. Never rejects. */
  async #commitAll(): Promise<void> {
    // A turn later: appends of one tick share an fsync even when the disk is idle.
    await Promise.resolve();
    for (;;) {
      if (this.#renumbering !== undefined) await this.#renumberNow(this.#renumbering);
      else if (this.#queue.length > 0) await this.#commitBatch(this.#takeBatch());
      else break;
    }
    this.#committing = undefined;
  }

  async #renumberNow(asked: PromiseWithResolvers<Renumbering>): Promise<void> {
    // Acknowledgements that come meanwhile are of the old numbering; what they let go is sent again.
    const acked = this.#acked;
    try {
      const old = this.#generation;
      const next = await copyGeneration(this.#place, old, acked);
      await this.#tidying;
      this.#generation = next;
      this.#acked = 0;
      this.#sentThrough = 0;
      this.#ackWaiters.renumber(acked);
      await discardGeneration(this.#place, old);
      asked.resolve({ dropped: acked, kept: this.durable });
    } catch (cause) {
      asked.reject(cause);
    }
    this.#renumbering = undefined;
    this.changed.ring();
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && bytes + waiting.bytes > MAX_COMMIT_BYTES) break;
      bytes += waiting.bytes;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #commitBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const first = await this.#generation.log.commit(
        batch.map(({ event }) => event),
        { acked: this.#acked, onWritten: (first) => resolveBatch(batch, first, "buffered") },
      );
      resolveBatch(batch, first, "durable");
    } catch (cause) {
      for (const waiting of batch) waiting.reject(cause);
    } finally {
      for (const waiting of batch) this.#queuedBytes -= waiting.bytes;
    }
    this.changed.ring();
    this.#tidy();
  }

  /** Save the watermarks and remove what is no longer needed, once at a time, off the appenders' path. */
  #tidy(): void {
    this.#marksAreStale = true;
    this.#tidying ??= this.#tidyAll();
  }

  async #tidyAll(): Promise<void> {
    try {
      while (this.#marksAreStale) {
        const acked = await this.#saveMarks();
        if (!this.#generation.log.hasRemovable(acked)) continue;
        // On disk before the files go: else their absence would look like damage.
        await this.#generation.marksFile.sync();
        if (await this.#generation.log.removeUpTo(acked)) this.changed.ring();
      }
    } catch {
      // The watermarks are a little older than they could be, some files stay: the next change tries again.
    } finally {
      this.#tidying = undefined;
    }
  }

  /** @returns the acknowledged watermark that was written: it may have grown since, and what it does not cover must stay */
  async #saveMarks(): Promise<number> {
    this.#marksAreStale = false;
    const marks: Watermarks = { acked: this.#acked, durable: this.durable };
    await this.#generation.marksFile.write(marks);
    return marks.acked;
  }
}

function resolveBatch(batch: readonly Waiting[], first: number, durability: Waiting["durability"]): void {
  for (const [index, waiting] of batch.entries()) {
    if (waiting.durability === durability) waiting.resolve(first + index);
  }
}
