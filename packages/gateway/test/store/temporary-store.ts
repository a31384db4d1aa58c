import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Store } from "../../src/store/port.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/options.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

/** A directory that is removed when disposed. */
export async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A SQLite store in a directory of its own. */
export async function temporaryStore(options: Partial<SqliteStoreOptions> = {}) {
  const directory = await temporaryDirectory();
  const open = () =>
    openSqliteStore({
      path: join(directory.path, "gateway.db"),
      generationPath: join(directory.path, "generation"),
      ...options,
    });
  let store: Store = await open();
  return {
    directory: directory.path,
    store,
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async [Symbol.asyncDispose]() {
      await store.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}
