import { createHash } from "node:crypto";

/** A file as it travels to the node. */
export interface SentFile {
  readonly path: string;
  readonly content: Uint8Array;
}

/** What is worked out of a file. */
export interface FileDigest {
  readonly path: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly lines: number;
  readonly bytes: number;
}

const LINE_FEED = 10;

/** SHA-256, lines and bytes of one file. A last line without its line feed counts. */
export function digestFile({ path, content }: SentFile): FileDigest {
  let lines = 0;
  for (let at = content.indexOf(LINE_FEED); at >= 0; at = content.indexOf(LINE_FEED, at + 1)) lines += 1;
  if (content.length > 0 && content.at(-1) !== LINE_FEED) lines += 1;
  return { path, sha256: createHash("sha256").update(content).digest("hex"), lines, bytes: content.length };
}

/** One SHA-256 over all of them, in the order they have. */
export function digestAll(files: readonly FileDigest[]): string {
  const hash = createHash("sha256");
  for (const { path, sha256, lines, bytes } of files) hash.update(`${sha256} ${lines} ${bytes} ${path}\n`);
  return hash.digest("hex");
}
