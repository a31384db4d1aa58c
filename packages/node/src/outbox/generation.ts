import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { NodeError } from "../errors.ts";
import { OutboxCursor } from "./cursor.ts";
import type { OutboxFiles } from "./files.ts";
import { generationPath, markReady, removeGeneration } from "./generations.ts";
import { recover, type OutboxRepair } from "./recovery.ts";
import { SegmentLog } from "./segment-log.ts";
import type { Segment } from "./segment.ts";
import { WatermarkFile } from "./watermarks.ts";

const EPOCH_BYTES = 16;
const WATERMARK_FILE = "watermarks";
/** What is copied at once from one generation to the next. */
const COPY = { events: 1000, bytes: 1_048_576 };

/** Where an outbox is kept. */
export interface OutboxPlace {
  readonly files: OutboxFiles;
  readonly directory: string;
  readonly segmentBytes: number;
  /** As in `SegmentLogOptions`. */
  readonly recentBytes: number;
}

/** One numbering of events, open. */
export interface Generation {
  readonly number: number;
  readonly epoch: Uint8Array;
  readonly log: SegmentLog;
  readonly marksFile: WatermarkFile;
  /** As it was when opened. */
  readonly acked: number;
  readonly repair: OutboxRepair | undefined;
  /** As of `WatermarkFile`, when opened. */
  readonly damagedMarks: number;
}

/**
 * Open a generation, or begin it where there is none.
 * @throws {NodeError} `OUTBOX_CORRUPT`; what the file system throws
 */
export async function openGeneration(place: OutboxPlace, number: number): Promise<Generation> {
  const { files, segmentBytes, recentBytes } = place;
  const directory = generationPath(place.directory, number);
  await files.makeDirectory(directory);
  const marksFile = await openMarks(files, directory);
  try {
    const marks = await marksFile.read();
    const damagedMarks = marksFile.damaged;
    // What a killed process wrote may be in the page cache alone, and from here on segments are removed by it.
    await marksFile.sync();
    const recovered = await recover(files, directory, marks);
    const epoch = recovered?.epoch ?? new Uint8Array(randomBytes(EPOCH_BYTES));
    const options = { files, directory, epoch, segmentBytes, recentBytes };
    const log = recovered === undefined ? await SegmentLog.create(options) : SegmentLog.resume(options, recovered);
    // The directory's own name has to survive a power cut as well as what is in it.
    await files.syncDirectory(place.directory);
    return { number, epoch, log, marksFile, acked: marks.acked, repair: recovered?.repair, damagedMarks };
  } catch (cause) {
    await marksFile.close().catch(() => {});
    throw cause;
  }
}

/**
 * Copy what `old` holds above `acked` into a new generation, numbered from 1 under a new epoch. It counts as soon as this resolves, also after a crash.
 * @throws {NodeError} `OUTBOX_CORRUPT`, `OUTBOX_IO`, `OUTBOX_DISK_FULL`; `old` then still counts
 */
export async function copyGeneration(place: OutboxPlace, old: Generation, acked: number): Promise<Generation> {
  const { files, directory } = place;
  const number = old.number + 1;
  let next: Generation | undefined;
  try {
    await removeGeneration(files, directory, number);
    next = await openGeneration(place, number);
    const { durable } = old.log;
    const segmentOf = (seq: number): Segment => old.log.segmentOf(seq);
    // From disk, where a damaged one shows.
    const view = { files, acked, durable, segmentOf, recent: () => undefined };
    await using cursor = new OutboxCursor(view, acked);
    for (let events = await cursor.next(COPY); events.length > 0; events = await cursor.next(COPY)) {
      // Without the numbers they had: what is kept in memory of them is read under the new ones.
      const bare = events.map(({ kind, time, data }) => ({ kind, time, data }));
      await next.log.commit(bare, { acked: 0, onWritten: () => {} });
    }
    await markReady(files, directory, number);
    return next;
  } catch (cause) {
    if (next !== undefined) await discardGeneration(place, next);
    if (cause instanceof NodeError) throw cause;
    throw new NodeError("OUTBOX_IO", "the events could not be copied to a new outbox", { cause });
  }
}

/** Release a generation and remove it; what cannot be removed now is when the outbox is opened next. Never rejects. */
export async function discardGeneration(place: OutboxPlace, generation: Generation): Promise<void> {
  await generation.log.close().catch(() => {});
  await generation.marksFile.close().catch(() => {});
  await removeGeneration(place.files, place.directory, generation.number).catch(() => {});
}

async function openMarks(files: OutboxFiles, directory: string): Promise<WatermarkFile> {
  const path = join(directory, WATERMARK_FILE);
  const names = await files.list(directory);
  return new WatermarkFile(await files.open(path, names.includes(WATERMARK_FILE) ? "existing" : "create"));
}
