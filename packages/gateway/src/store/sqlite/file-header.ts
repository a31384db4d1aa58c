/** What a database file's header says of the file, where SQLite believes it or asks too late: a flipped bit in it looks like a file that may not be written, or one of another version. */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { GatewayError } from "../../errors.ts";

/** @see https://sqlite.org/fileformat2.html#the_database_header */
const HEADER = {
  bytes: 100,
  pageSize: 16,
  writeVersion: 18,
  readVersion: 19,
  changeCounter: 24,
  pages: 28,
  schemaFormat: 44,
  validFor: 92,
} as const;
/** How the largest page size is written. */
const PAGE_SIZE_65536 = 1;
/** With a rollback journal, and with a write-ahead log. */
const JOURNALS: ReadonlySet<number> = new Set([1, 2]);
/** 0 before the first table. */
const MAX_SCHEMA_FORMAT = 4;

/** @throws {GatewayError} `STORE_CORRUPT` where it says what nobody has written, or the end of the file is missing */
export function checkHeader(path: string): void {
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(HEADER.bytes);
    if (readSync(file, header, 0, HEADER.bytes, 0) < HEADER.bytes) return;
    const isKnown =
      JOURNALS.has(header.readUInt8(HEADER.writeVersion)) &&
      JOURNALS.has(header.readUInt8(HEADER.readVersion)) &&
      header.readUInt32BE(HEADER.schemaFormat) <= MAX_SCHEMA_FORMAT;
    if (!isKnown)
      throw new GatewayError("STORE_CORRUPT", "the database is damaged: its header is not what was written");
    // Pages that are in the write-ahead log alone are rightly missing here; what is missing there, the mark of commits tells.
    if (lengthOf(`${path}-wal`) === 0) checkLength(header, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

function checkLength(header: Buffer, size: number): void {
  // As SQLite does: a count that an old version left behind says nothing.
  if (header.readUInt32BE(HEADER.changeCounter) !== header.readUInt32BE(HEADER.validFor)) return;
  const pageSize = header.readUInt16BE(HEADER.pageSize);
  const expected = header.readUInt32BE(HEADER.pages) * (pageSize === PAGE_SIZE_65536 ? 65_536 : pageSize);
  if (size >= expected) return;
  throw new GatewayError("STORE_CORRUPT", `the database was cut off: ${size} of ${expected} bytes are there`, {
    metadata: { bytes: String(size), expected: String(expected) },
  });
}

function lengthOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
