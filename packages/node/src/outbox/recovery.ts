import { basename, join } from "node:path";
import { NodeError } from "../errors.ts";
import type { OutboxFile, OutboxFiles } from "./files.ts";
import { readWhole } from "./files.ts";
import { RECORD_HEADER_BYTES, recordAt } from "./record.ts";
import { parseSegmentHeader, parseSegmentName, SEGMENT_HEADER_BYTES, segmentName, type Segment } from "./segment.ts";
import type { Watermarks } from "./watermarks.ts";

/** A torn tail that was cut. Nothing that had been confirmed was in it. */
export interface OutboxRepair {
  readonly file: string;
  readonly bytesCut: number;
}

/** What was found on disk. */
export interface Recovered {
  readonly epoch: Uint8Array;
  /** In order; one at least. */
  readonly segments: Segment[];
  /** The last segment, open. */
  readonly file: OutboxFile;
  readonly repair: OutboxRepair | undefined;
}

/**
 * Read an outbox back. Whatever was confirmed is there, or this throws: a bad record is cut as a torn write only when it stands last, is
 * above the durable watermark and no later record says that it was on disk.
 * @returns `undefined` when there is no outbox yet
 * @throws {NodeError} `OUTBOX_CORRUPT` with `file`, and `offset` and `seq` where they are known
 */
export async function recover(
  files: OutboxFiles,
  directory: string,
  marks: Watermarks,
): Promise<Recovered | undefined> {
  const firsts = await listSegments(files, directory);
  await dropUnbornSegment(files, directory, { firsts, marks });
  if (firsts.length === 0) {
    if (marks.durable > 0) throw corrupt(directory, "its files are gone", { seq: marks.durable });
    return undefined;
  }
  await dropAcknowledged(files, directory, { firsts, marks });
  checkStart(directory, firsts, marks);
  const segments: Segment[] = [];
  let epoch: Uint8Array | undefined;
  let repair: OutboxRepair | undefined;
  for (const [index, first] of firsts.entries()) {
    const path = join(directory, segmentName(first));
    const file = await files.open(path, "existing");
    const isLast = index === firsts.length - 1;
    try {
      const bytes = await readWhole(file);
      epoch = checkHeader(bytes, { path, first, epoch });
      const segment = scan(bytes, { path, first, before: firsts[index + 1] ?? Number.POSITIVE_INFINITY });
      if (isLast) repair = await endOfLog(file, bytes, { segment, marks });
      else if (segment.last + 1 !== firsts[index + 1]) throw damaged(segment);
      segments.push(segment);
      if (isLast) {
        await files.syncDirectory(directory);
        return { epoch, segments, file, repair };
      }
    } catch (cause) {
      await file.close().catch(() => {});
      throw cause;
    }
    await file.close();
  }
  throw new Error("unreachable: the last segment returns");
}

async function listSegments(files: OutboxFiles, directory: string): Promise<number[]> {
  const firsts: number[] = [];
  for (const name of await files.list(directory)) {
    const first = parseSegmentName(name);
    if (first !== undefined) firsts.push(first);
  }
  return firsts.sort((a, b) => a - b);
}

/** A crash while a segment was being made leaves a file without a whole header and so without records: as if it never was. */
async function dropUnbornSegment(
  files: OutboxFiles,
  directory: string,
  found: { readonly firsts: number[]; readonly marks: Watermarks },
): Promise<void> {
  const first = found.firsts.at(-1);
  if (first === undefined) return;
  const path = join(directory, segmentName(first));
  const file = await files.open(path, "existing");
  let bytes: Uint8Array;
  try {
    bytes = await readWhole(file);
  } finally {
    await file.close();
  }
  if (parseSegmentHeader(bytes) !== undefined) return;
  if (found.marks.durable >= first || recordAt(bytes, SEGMENT_HEADER_BYTES).kind === "record") {
    throw corrupt(path, "its header is damaged", { seq: first, offset: 0 });
  }
  await files.remove(path);
  found.firsts.pop();
}

/** Removals are not ordered by a power cut: of several segments that were let go, an older one may be back and a younger one not. */
async function dropAcknowledged(
  files: OutboxFiles,
  directory: string,
  found: { readonly firsts: number[]; readonly marks: Watermarks },
): Promise<void> {
  const { firsts, marks } = found;
  for (let next = firsts[1]; next !== undefined && next <= marks.acked + 1; next = firsts[1]) {
    await files.remove(join(directory, segmentName(firsts.shift() ?? 0)));
  }
}

/** Segments go only after the acknowledged watermark is on disk, so one that is missing at the start was taken away. */
function checkStart(directory: string, firsts: readonly number[], marks: Watermarks): void {
  const first = firsts[0] ?? 1;
  if (first - 1 > marks.acked) {
    throw corrupt(directory, `events ${marks.acked + 1} to ${first - 1} are missing`, { seq: marks.acked + 1 });
  }
}

function checkHeader(
  bytes: Uint8Array,
  at: { readonly path: string; readonly first: number; readonly epoch: Uint8Array | undefined },
): Uint8Array {
  const header = parseSegmentHeader(bytes);
  if (header === undefined || header.first !== at.first) {
    throw corrupt(at.path, "its header is damaged", { seq: at.first, offset: 0 });
  }
  if (at.epoch !== undefined && !header.epoch.every((byte, index) => byte === at.epoch?.[index])) {
    throw corrupt(at.path, "it belongs to another outbox", { seq: at.first, offset: 0 });
  }
  return header.epoch;
}

/** Good records from the start; those from `before` on do not count, a later segment has them. */
function scan(
  bytes: Uint8Array,
  place: { readonly path: string; readonly first: number; readonly before: number },
): Segment {
  let last = place.first - 1;
  let end = SEGMENT_HEADER_BYTES;
  while (last + 1 < place.before) {
    const record = recordAt(bytes, end);
    if (record.kind !== "record" || record.seq !== last + 1) break;
    last = record.seq;
    end = record.end;
  }
  return { path: place.path, first: place.first, last, end };
}

async function endOfLog(
  file: OutboxFile,
  bytes: Uint8Array,
  found: { readonly segment: Segment; readonly marks: Watermarks },
): Promise<OutboxRepair | undefined> {
  const { segment, marks } = found;
  if (segment.last < marks.durable || wasCommitted(bytes, segment)) throw damaged(segment);
  const bytesCut = bytes.length - segment.end;
  if (bytesCut > 0) await file.truncate(segment.end);
  // Even where nothing was cut: what a killed process wrote may be in the page cache alone, and from here on it counts as on disk.
  await file.sync();
  return bytesCut > 0 ? { file: segment.path, bytesCut } : undefined;
}

/** Whether some record behind the end says that the one missing at the end was on disk. */
function wasCommitted(bytes: Uint8Array, segment: Segment): boolean {
  let at = segment.end + 1;
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const record = recordAt(bytes, at);
    if (record.kind !== "record") {
      at += 1;
      continue;
    }
    if (record.seq > segment.last && record.committed > segment.last) return true;
    at = record.end;
  }
  return false;
}

function damaged(segment: Segment): NodeError {
  return corrupt(segment.path, `event ${segment.last + 1} is damaged or missing`, {
    seq: segment.last + 1,
    offset: segment.end,
  });
}

/** The error for an outbox that cannot be served as it is. */
export function corrupt(
  path: string,
  what: string,
  details: { readonly seq: number; readonly offset?: number },
): NodeError {
  return new NodeError(
    "OUTBOX_CORRUPT",
    `the outbox is damaged at ${basename(path)}: ${what}. Keep a copy of it, then move it away: the node starts a new one and loses what was not sent yet`,
    { details: { file: path, ...details } },
  );
}
