import type { OutboxFile, OutboxFiles } from "./files.ts";
import type { RecentEvent } from "./recent.ts";
import { decodeEvent, RECORD_HEADER_BYTES, recordAt, type OutboxEvent, type OutboxRecord } from "./record.ts";
import { corrupt } from "./recovery.ts";
import { SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";

/** Above the largest record, so that one read always holds a whole one. */
const CHUNK_BYTES = 262_144;

/** What a cursor sees of its outbox. */
export interface OutboxView {
  readonly files: OutboxFiles;
  readonly acked: number;
  readonly durable: number;
  /** The segment that holds `seq`, which is above `acked` and not above `durable`. */
  segmentOf(seq: number): Segment;
  /** Its event, where that is in memory still. */
  recent(seq: number): RecentEvent | undefined;
}

/** Reads the durable records of an outbox in order. One call at a time. */
export class OutboxCursor implements AsyncDisposable {
  readonly #view: OutboxView;
  /** Made when something has to be read from disk. */
  #chunk: Uint8Array | undefined;
  #after: number;
  #segment: Segment | undefined;
  #file: OutboxFile | undefined;
  /** Where in the segment the next record starts, and where and how long the chunk is. */
  #at = 0;
  #chunkAt = 0;
  #chunkBytes = 0;

  constructor(view: OutboxView, after: number) {
    this.#view = view;
    this.#after = after;
  }

  /** The sequence that {@link OutboxCursor.next} gave last, or that was sought. */
  get after(): number {
    return this.#after;
  }

  /** Go on behind `after`. */
  async seek(after: number): Promise<void> {
    this.#after = after;
    await this.#leave();
  }

  /**
   * The next records, none when all that is durable was read. Acknowledged ones are passed over.
   * @throws {NodeError} `OUTBOX_CORRUPT` when a record changed on disk
   */
  async next(limit: { readonly events: number; readonly bytes: number }): Promise<OutboxRecord[]> {
    const records: OutboxRecord[] = [];
    let bytes = 0;
    while (records.length < limit.events && bytes < limit.bytes) {
      if (this.#after < this.#view.acked) await this.seek(this.#view.acked);
      const seq = this.#after + 1;
      if (seq > this.#view.durable) break;
      const { event, size } = await this.#read(seq);
      bytes += size;
      // The one that would go over the limit comes next time, but one always fits.
      if (bytes > limit.bytes && records.length > 0) break;
      this.#at += size;
      this.#after = seq;
      records.push({ ...event, seq });
    }
    return records;
  }

  async #read(seq: number): Promise<{ readonly event: OutboxEvent; readonly size: number }> {
    const segment = this.#view.segmentOf(seq);
    const recent = this.#view.recent(seq);
    if (recent !== undefined) {
      // In step with what is in memory, so that what is no longer there is found without a search.
      if (segment !== this.#segment) await this.#enter(segment, recent.at);
      return { event: recent.event, size: recent.bytes };
    }
    if (segment !== this.#segment) await this.#search(segment, seq);
    const { chunk, start, end } = await this.#locate(segment, seq);
    return { event: decodeEvent(chunk, start, end), size: end - start };
  }

  async #enter(segment: Segment, at: number): Promise<void> {
    await this.#leave();
    this.#segment = segment;
    this.#at = at;
    this.#chunkAt = at;
  }

  async #search(segment: Segment, seq: number): Promise<void> {
    await this.#enter(segment, SEGMENT_HEADER_BYTES);
    for (let skipped = segment.first; skipped < seq; skipped++) {
      const { start, end } = await this.#locate(segment, skipped);
      this.#at += end - start;
    }
  }

  async #locate(
    segment: Segment,
    seq: number,
  ): Promise<{ readonly chunk: Uint8Array; readonly start: number; readonly end: number }> {
    for (const fresh of [false, true]) {
      const chunk = fresh ? await this.#fill(segment) : this.#chunk;
      const start = this.#at - this.#chunkAt;
      if (chunk === undefined || start + RECORD_HEADER_BYTES > this.#chunkBytes) continue;
      const record = recordAt(chunk.subarray(0, this.#chunkBytes), start);
      if (record.kind === "record" && record.seq === seq) return { chunk, start, end: record.end };
    }
    throw corrupt(segment.path, `event ${seq} is damaged`, { seq, offset: this.#at });
  }

  async #fill(segment: Segment): Promise<Uint8Array> {
    this.#file ??= await this.#view.files.open(segment.path, "existing");
    this.#chunk ??= new Uint8Array(CHUNK_BYTES);
    const wanted = Math.min(CHUNK_BYTES, segment.end - this.#at);
    this.#chunkAt = this.#at;
    this.#chunkBytes = await this.#file.read(this.#chunk.subarray(0, wanted), this.#at);
    return this.#chunk;
  }

  async #leave(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#segment = undefined;
    this.#chunkBytes = 0;
    await file?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
  }
}
