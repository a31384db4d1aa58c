import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Bell } from "../bell.ts";
import { NodeError } from "../errors.ts";
import { AckWaiters } from "./ack-waiters.ts";
import { OutboxCursor } from "./cursor.ts";
import { nodeFiles, type OutboxFiles } from "./files.ts";
import { recordBytes, type OutboxEvent } from "./record.ts";
import { recover, type OutboxRepair } from "./recovery.ts";
import { ignoreMissing, type Segment } from "./segment.ts";
import { SegmentLog } from "./segment-log.ts";
import { WatermarkFile, type Watermarks } from "./watermarks.ts";

const EPOCH_BYTES = 16;
const WATERMARK_FILE = "watermarks";
const DEFAULT_MAX_BYTES = 268_435_456;
const DEFAULT_SEGMENT_BYTES = 4_194_304;
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
  /** Default: the machine's file system. */
  readonly files?: OutboxFiles;
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
  /** 16 random bytes that name this numbering. */
  readonly epoch: Uint8Array;
  /** What had to be cut at open, if anything. */
  readonly repair: OutboxRepair | undefined;
  /** Rings when {@link Outbox.durable} or {@link Outbox.acked} grew. */
  readonly changed = new Bell();
  readonly #files: OutboxFiles;
  readonly #maxBytes: number;
  readonly #log: SegmentLog;
  readonly #marksFile: WatermarkFile;
  readonly #ackWaiters = new AckWaiters();
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #acked: number;
  #committing: Promise<void> | undefined;
  #tidying: Promise<void> | undefined;
  #marksAreStale = false;
  #closed: Promise<void> | undefined;

  private constructor(
    options: { readonly files: OutboxFiles; readonly maxBytes: number; readonly epoch: Uint8Array },
    parts: { readonly log: SegmentLog; readonly marksFile: WatermarkFile; readonly acked: number },
    repair: OutboxRepair | undefined,
  ) {
    this.epoch = options.epoch;
    this.repair = repair;
    this.#files = options.files;
    this.#maxBytes = options.maxBytes;
    this.#log = parts.log;
    this.#marksFile = parts.marksFile;
    this.#acked = parts.acked;
  }

  /**
   * Open or begin an outbox.
   * @throws {NodeError} `OUTBOX_CORRUPT`, `OUTBOX_IO`
   */
  static async open(options: OutboxOptions): Promise<Outbox> {
    const { directory, files = nodeFiles, maxBytes = DEFAULT_MAX_BYTES } = options;
    const segmentBytes = options.segmentBytes ?? Math.min(DEFAULT_SEGMENT_BYTES, Math.ceil(maxBytes / 8));
    try {
      await files.makeDirectory(directory);
      const marksFile = await openMarks(files, directory);
      try {
        const marks = await marksFile.read();
        const recovered = await recover(files, directory, marks);
        const epoch = recovered?.epoch ?? new Uint8Array(randomBytes(EPOCH_BYTES));
        const place = { files, directory, epoch, segmentBytes };
        const log = recovered === undefined ? await SegmentLog.create(place) : SegmentLog.resume(place, recovered);
        return new Outbox({ files, maxBytes, epoch }, { log, marksFile, acked: marks.acked }, recovered?.repair);
      } catch (cause) {
        await marksFile.close().catch(() => {});
        throw cause;
      }
    } catch (cause) {
      if (cause instanceof NodeError) throw cause;
      throw new NodeError("OUTBOX_IO", `could not open the outbox in ${directory}`, { cause });
    }
  }

  /** The gateway has everything up to here; 0 is nothing. */
  get acked(): number {
    return this.#acked;
  }

  /** Everything up to here is on disk; 0 is nothing. */
  get durable(): number {
    return this.#log.durable;
  }

  /** Bytes on disk, and those about to be. */
  get bytes(): number {
    return this.#log.bytes + this.#queuedBytes;
  }

  /** 0 empty, 1 full for ordinary events; above 1 the reserve is in use. */
  get fill(): number {
    return this.bytes / this.#maxBytes;
  }

  /**
   * Record an event.
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
    this.#ackWaiters.reached(seq);
    this.changed.ring();
    this.#tidy();
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
    const log = this.#log;
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
      },
      after,
    );
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
    await this.#committing;
    await this.#tidying;
    this.#ackWaiters.fail(new NodeError("NODE_STOPPED", "the outbox was closed before the gateway had the event"));
    try {
      await this.#saveMarks();
      await this.#marksFile.sync();
    } catch {
      // Older watermarks only cost a repeat.
    }
    await this.#marksFile.close();
    await this.#log.close();
  }

  /** Runs while there is something to commit; {@link Outbox.close} awaits it. Never rejects. */
  async #commitAll(): Promise<void> {
    // A turn later: appends of one tick share an fsync even when the disk is idle.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#commitBatch(this.#takeBatch());
    this.#committing = undefined;
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
      const first = await this.#log.commit(
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
        await this.#saveMarks();
        const { acked } = this;
        if (!this.#log.hasRemovable(acked)) continue;
        // On disk before the files go: else their absence would look like damage.
        await this.#marksFile.sync();
        if (await this.#log.removeUpTo(acked)) this.changed.ring();
      }
    } catch {
      // The watermarks are a little older than they could be, some files stay: the next change tries again.
    } finally {
      this.#tidying = undefined;
    }
  }

  async #saveMarks(): Promise<void> {
    this.#marksAreStale = false;
    const marks: Watermarks = { acked: this.#acked, durable: this.durable };
    await this.#marksFile.write(marks);
  }
}

function resolveBatch(batch: readonly Waiting[], first: number, durability: Waiting["durability"]): void {
  for (const [index, waiting] of batch.entries()) {
    if (waiting.durability === durability) waiting.resolve(first + index);
  }
}

async function openMarks(files: OutboxFiles, directory: string): Promise<WatermarkFile> {
  const path = join(directory, WATERMARK_FILE);
  const names = await files.list(directory);
  if (names.includes(WATERMARK_FILE)) return new WatermarkFile(await files.open(path, "existing"));
  await files.remove(path).catch(ignoreMissing);
  return new WatermarkFile(await files.open(path, "create"));
}
