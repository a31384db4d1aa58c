import { nodeFiles, type OutboxFile } from "../../../packages/node/src/outbox/files.ts";
import { replaceMethod } from "./replace.ts";

/**
 * Watch the outbox's files from now on. SIGKILL leaves the page cache whole, so that no kill can show a missing fsync: the order of the calls can.
 * @returns segments that hold bytes which were written and not synced
 */
export function watchSyncs(): ReadonlySet<OutboxFile> {
  const unsynced = new Set<OutboxFile>();
  replaceMethod(nodeFiles, "open", (open) => async (path, how) => {
    const file = await open(path, how);
    return path.endsWith(".log") ? watched(file, unsynced) : file;
  });
  return unsynced;
}

function watched(file: OutboxFile, unsynced: Set<OutboxFile>): OutboxFile {
  let writes = 0;
  return {
    ...file,
    async write(bytes, position) {
      const written = await file.write(bytes, position);
      writes += 1;
      unsynced.add(file);
      return written;
    },
    async sync() {
      const covered = writes;
      await file.sync();
      if (writes === covered) unsynced.delete(file);
    },
    async close() {
      unsynced.delete(file);
      await file.close();
    },
  };
}
