import { NodeError } from "../errors.ts";
import { writeFully, type OutboxFile, type OutboxFiles } from "./files.ts";
import { RecentEvents, type RecentEvent } from "./recent.ts";
import { encodeRecord, recordBytes, type OutboxEvent } from "./record.ts";
import type { Recovered } from "./recovery.ts";
import { createSegment, ignoreMissing, SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";

/** A slab that one large batch made bigger than this is not kept. */
const KEPT_SLAB_BYTES = 1_048_576;

/** Where and how a {@link SegmentLog} writes. */
export interface SegmentLogOptions {
  readonly files: OutboxFiles;
  readonly directory: string;
  readonly epoch: Uint8Array;
  /** Size at which a segment is finished. */
  readonly segmentBytes: number;
  /** Bytes of the newest records whose events stay in memory; 0 is none. */
  readonly recentBytes: number;
}

/** The segments of one outbox and the end they grow at. One {@link SegmentLog.commit} at a time. */
export class SegmentLog {
  readonly #options: SegmentLogOptions;
  readonly #segments: Segment[];
  /** The last segment's file; `undefined` when the next commit has to begin a new one. */
  #file: OutboxFile | undefined;
  #slab = new Uint8Array(65_536);
  #durable: number;
  /** Bytes of all segments but the last: asked for with each event. */
  #bytesBefore = 0;
  readonly #recent: RecentEvents;

  private constructor(options: SegmentLogOptions, segments: Segment[], file: OutboxFile | undefined) {
    this.#options = options;
    this.#segments = segments;
    this.#file = file;
    this.#durable = segments.at(-1)?.last ?? 0;
    this.#recent = new RecentEvents(options.recentBytes);
    this.#countBytes();
  }

  /** Go on where {@link recover} found the end. */
  static resume(options: SegmentLogOptions, recovered: Recovered): SegmentLog {
    return new SegmentLog(options, recovered.segments, recovered.file);
  }

  /** Begin with sequence 1. */
  static async create(options: SegmentLogOptions): Promise<SegmentLog> {
    const log = new SegmentLog(options, [], undefined);
    await log.#begin();
    return log;
  }

  /** The last sequence that is on disk; 0 is none. */
  get durable(): number {
    return this.#durable;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytesBefore + (this.#segments.at(-1)?.end ?? 0);
  }

  /** The segment that holds `seq`, which must be there. */
  segmentOf(seq: number): Segment {
    const segment = this.#segments.findLast(({ first }) => first <= seq);
    if (segment === undefined || segment.last < seq) throw new RangeError(`no segment holds ${seq}`);
    return segment;
  }

  /** The durable event `seq`, where it is in memory still. */
  recent(seq: number): RecentEvent | undefined {
    return this.#recent.get(seq);
  }

  /** Nobody reads up to `seq` any more. */
  acknowledged(seq: number): void {
    this.#recent.dropThrough(seq);
  }

  /**
   * Put `events` on disk behind the last one, in one write and one fsync.
   * @param options.acked finished segments up to here free a place for a new one
   * @param options.onWritten called when the operating system has the bytes, with the first sequence
   * @returns the first sequence
   * @throws {NodeError} `OUTBOX_DISK_FULL`, `OUTBOX_IO`: none of them counts, and their sequences go to the next ones
   */
  async commit(
    events: readonly OutboxEvent[],
    options: { readonly acked: number; readonly onWritten: (first: number) => void },
  ): Promise<number> {
    const first = this.#durable + 1;
    try {
      const { bytes, ends } = this.#encode(events, first);
      const { segment, file } = await this.#place(bytes.length, options.acked);
      await writeFully(file, bytes, segment.end);
      options.onWritten(first);
      await file.sync();
      this.#recent.add(first, placed(events, ends, segment.end));
      segment.last += events.length;
      segment.end += bytes.length;
      this.#durable = segment.last;
      return first;
    } catch (cause) {
      await this.#abandonFile();
      throw writeError(cause);
    } finally {
      if (this.#slab.length > KEPT_SLAB_BYTES) this.#slab = new Uint8Array(KEPT_SLAB_BYTES);
    }
  }

  /** Remove the finished segments that hold nothing above `acked`. @returns whether there were any */
  async removeUpTo(acked: number): Promise<boolean> {
    const done = this.#removable(acked);
    for (const segment of done) {
      await this.#options.files.remove(segment.path).catch(ignoreMissing);
      // In order from the front: a gap at the front is what a taken-away file looks like.
      this.#segments.splice(this.#segments.indexOf(segment), 1);
      this.#countBytes();
    }
    return done.length > 0;
  }

  /** Whether {@link SegmentLog.removeUpTo} would find something to do. */
  hasRemovable(acked: number): boolean {
    return this.#removable(acked).length > 0;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #countBytes(): void {
    this.#bytesBefore = this.#segments.slice(0, -1).reduce((sum, { end }) => sum + end, 0);
  }

  #removable(acked: number): Segment[] {
    return this.#segments.slice(0, -1).filter(({ last }) => last <= acked);
  }

  /** @returns the records, and where each of them ends */
  #encode(
    events: readonly OutboxEvent[],
    first: number,
  ): { readonly bytes: Uint8Array; readonly ends: readonly number[] } {
    let most = 0;
    for (const event of events) most += recordBytes(event);
    if (this.#slab.length < most) this.#slab = new Uint8Array(most);
    const ends: number[] = [];
    let end = 0;
    for (const [index, event] of events.entries()) {
      end = encodeRecord(this.#slab, end, event, { seq: first + index, committed: first - 1 });
      ends.push(end);
    }
    return { bytes: this.#slab.subarray(0, end), ends };
  }

  /** Where the next `bytes` go: the last segment, or a new one when that is full, or wholly acknowledged and worth freeing. */
  async #place(bytes: number, acked: number): Promise<{ readonly segment: Segment; readonly file: OutboxFile }> {
    const { segmentBytes } = this.#options;
    const segment = this.#segments.at(-1);
    if (segment !== undefined && this.#file !== undefined) {
      const isEmpty = segment.last < segment.first;
      const isFull = segment.end + bytes > segmentBytes && !isEmpty;
      const isSpent = segment.last <= acked && segment.end > segmentBytes / 4 && !isEmpty;
      if (!isFull && !isSpent) return { segment, file: this.#file };
    }
    return this.#begin();
  }

  async #begin(): Promise<{ readonly segment: Segment; readonly file: OutboxFile }> {
    const { files, directory, epoch } = this.#options;
    const previous = this.#segments.at(-1);
    // One that failed before its first record has the new one's name and gives way to it.
    if (previous !== undefined && previous.last < previous.first) this.#segments.pop();
    this.#countBytes();
    await this.close();
    const { segment, file } = await createSegment(files, directory, { epoch, first: this.#durable + 1 });
    try {
      // The header before any record: a file with a torn header then never holds a record that counts.
      await file.sync();
      await files.syncDirectory(directory);
    } catch (cause) {
      await file.close().catch(() => {});
      // After a failed fsync the page cache may show a header that is not on disk: nobody may go on with this file.
      await files.remove(segment.path).catch(() => {});
      throw cause;
    }
    this.#file = file;
    this.#segments.push(segment);
    this.#countBytes();
    return { segment, file };
  }

  /**
   * After a failed write or fsync nobody knows what of the file is on disk, and asking again may be answered with a lie: this file takes no
   * more. What lies behind its last good record is cut where that works; where it does not, the next segment's first sequence overrules it.
   */
  async #abandonFile(): Promise<void> {
    const file = this.#file;
    const segment = this.#segments.at(-1);
    this.#file = undefined;
    if (file === undefined) return;
    if (segment !== undefined) await file.truncate(Math.max(segment.end, SEGMENT_HEADER_BYTES)).catch(() => {});
    await file.close().catch(() => {});
  }
}

function placed(events: readonly OutboxEvent[], ends: readonly number[], base: number): readonly RecentEvent[] {
  return events.map((event, index) => {
    const start = ends[index - 1] ?? 0;
    return { event, at: base + start, bytes: (ends[index] ?? start) - start };
  });
}

function writeError(cause: unknown): NodeError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new NodeError("OUTBOX_DISK_FULL", "the disk is full: the event was not recorded. Free some space", {
      cause,
    });
  }
  return new NodeError("OUTBOX_IO", "the event could not be put on disk", { cause });
}
