import { mkdir, open, readdir, rmdir, unlink, type FileHandle } from "node:fs/promises";

/** An open file, as the outbox uses one. Positions and lengths are bytes. */
export interface OutboxFile {
  /** Write at `position`; may write less than asked, as `pwrite` may. @returns bytes written */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Fill `into` from `position`; less only at the end of the file. @returns bytes read */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  truncate(length: number): Promise<void>;
  /** Resolves when what was written would survive a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The file system, as the outbox uses it; tests pass one that fails. Errors carry Node's `code`. */
export interface OutboxFiles {
  makeDirectory(path: string): Promise<void>;
  list(directory: string): Promise<readonly string[]>;
  /** Open for reading and writing. `create`: it must not exist yet. */
  open(path: string, how: "create" | "existing"): Promise<OutboxFile>;
  remove(path: string): Promise<void>;
  /** Remove an empty directory; none is as good. */
  removeDirectory(path: string): Promise<void>;
  /** Make creations and removals in `directory` survive a power cut. */
  syncDirectory(directory: string): Promise<void>;
}

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/** The machine's own. Everything runs on libuv's threads: no fsync blocks the event loop. */
export const nodeFiles: OutboxFiles = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY });
  },
  list: (directory) => readdir(directory),
  async open(path, how) {
    return wrap(await open(path, how === "create" ? "wx+" : "r+", PRIVATE_FILE));
  },
  remove: (path) => unlink(path),
  async removeDirectory(path) {
    await rmdir(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
    });
  },
  async syncDirectory(directory) {
    const handle = await open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function wrap(handle: FileHandle): OutboxFile {
  return {
    write: async (bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
    async read(into, position) {
      let filled = 0;
      while (filled < into.length) {
        const { bytesRead } = await handle.read(into, filled, into.length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    size: async () => (await handle.stat()).size,
    truncate: (length) => handle.truncate(length),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

/** Write all of `bytes`, however often the file writes short. */
export async function writeFully(file: OutboxFile, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const step = await file.write(written === 0 ? bytes : bytes.subarray(written), position + written);
    if (step <= 0) throw Object.assign(new Error("the file takes no more bytes"), { code: "ENOSPC" });
    written += step;
  }
}

/** The whole file. */
export async function readWhole(file: OutboxFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.size());
  const length = await file.read(bytes, 0);
  return bytes.subarray(0, length);
}
