/** Whether a database file is as long as it says itself. SQLite asks only when it comes to a page that is not there. */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { GatewayError } from "../../errors.ts";

/** @see https://sqlite.org/fileformat2.html#the_database_header */
const HEADER = { bytes: 100, pageSize: 16, changeCounter: 24, pages: 28, validFor: 92 } as const;
/** How the largest page size is written. */
const PAGE_SIZE_65536 = 1;

/** @throws {GatewayError} `STORE_CORRUPT` where its end is missing */
export function checkLength(path: string): void {
  // Pages that are in the write-ahead log alone are rightly missing here; what is missing there, the mark of commits tells.
  if (lengthOf(`${path}-wal`) > 0) return;
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(HEADER.bytes);
    if (readSync(file, header, 0, HEADER.bytes, 0) < HEADER.bytes) return;
    // As SQLite does: a count that an old version left behind says nothing.
    if (header.readUInt32BE(HEADER.changeCounter) !== header.readUInt32BE(HEADER.validFor)) return;
    const pageSize = header.readUInt16BE(HEADER.pageSize);
    const expected = header.readUInt32BE(HEADER.pages) * (pageSize === PAGE_SIZE_65536 ? 65_536 : pageSize);
    const { size } = fstatSync(file);
    if (size >= expected) return;
    throw new GatewayError("STORE_CORRUPT", `the database was cut off: ${size} of ${expected} bytes are there`, {
      metadata: { bytes: String(size), expected: String(expected) },
    });
  } finally {
    closeSync(file);
  }
}

function lengthOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
