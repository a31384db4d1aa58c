import type { OutboxFile, OutboxFiles } from "./files.ts";
import type { RecentEvent } from "./recent.ts";
import { decodeEvent, RECORD_HEADER_BYTES, recordAt, type OutboxEvent, type OutboxRecord } from "./record.ts";
import { corrupt } from "./recovery.ts";
import { SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";

/** Above the largest record, so that one read always holds a whole one. */
const CHUNK_BYTES = 262_144;

const NOTHING = new Uint8Array(0);

/** An event, and the bytes of its record. */
interface Found {
  readonly event: OutboxEvent;
  readonly size: number;
}

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
  /** Of the segment, as it was read from disk. */
  #chunk = NOTHING;
  #after: number;
  #segment: Segment | undefined;
  #file: OutboxFile | undefined;
  /** Where in the segment the next record starts, and where the chunk does. */
  #at = 0;
  #chunkAt = 0;

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
      // A wait for each of thousands would cost more than all else that is done for them.
      const { event, size } = this.#inMemory(seq) ?? (await this.#read(seq));
      bytes += size;
      // The one that would go over the limit comes next time, but one always fits.
      if (bytes > limit.bytes && records.length > 0) break;
      this.#at += size;
      this.#after = seq;
      records.push({ ...event, seq });
    }
    return records;
  }

  /** Where it is here already, in the segment where the last one was. */
  #inMemory(seq: number): Found | undefined {
    const segment = this.#segment;
    if (segment === undefined || seq < segment.first || seq > segment.last) return undefined;
    const recent = this.#view.recent(seq);
    if (recent !== undefined) return { event: recent.event, size: recent.bytes };
    return this.#inChunk(seq);
  }

  async #read(seq: number): Promise<Found> {
    const segment = this.#view.segmentOf(seq);
    const recent = this.#view.recent(seq);
    if (recent !== undefined) {
      // In step with what is in memory, so that what is no longer there is found without a search.
      if (segment !== this.#segment) await this.#enter(segment, recent.at);
      return { event: recent.event, size: recent.bytes };
    }
    if (segment !== this.#segment) await this.#search(segment, seq);
    return await this.#load(segment, seq);
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
      const { size } = this.#inChunk(skipped) ?? (await this.#load(segment, skipped));
      this.#at += size;
    }
  }

  /** From disk. @throws {NodeError} `OUTBOX_CORRUPT` */
  async #load(segment: Segment, seq: number): Promise<Found> {
    const found = this.#inChunk(seq);
    if (found !== undefined) return found;
    await this.#fill(segment);
    const loaded = this.#inChunk(seq);
    if (loaded === undefined) throw corrupt(segment.path, `event ${seq} is damaged`, { seq, offset: this.#at });
    return loaded;
  }

  /** What was read last, where the record is in it as a whole. */
  #inChunk(seq: number): Found | undefined {
    const start = this.#at - this.#chunkAt;
    if (start + RECORD_HEADER_BYTES > this.#chunk.length) return undefined;
    const record = recordAt(this.#chunk, start);
    if (record.kind !== "record" || record.seq !== seq) return undefined;
    return { event: decodeEvent(this.#chunk, start, record.end), size: record.end - start };
  }

  async #fill(segment: Segment): Promise<void> {
    this.#file ??= await this.#view.files.open(segment.path, "existing");
    // Events are views of it, and outlive it.
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, segment.end - this.#at));
    const filled = await this.#file.read(chunk, this.#at);
    this.#chunkAt = this.#at;
    this.#chunk = chunk.subarray(0, filled);
  }

  async #leave(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#segment = undefined;
    this.#chunk = NOTHING;
    await file?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
  }
}
