import type { Logger } from "../../logger.ts";

/** What {@link openSqliteStore} takes. */
export interface SqliteStoreOptions {
  /** The database file; its directory exists. `-wal` and `-shm` lie beside it. */
  readonly path: string;
  /**
   * Where the highest generation seen is kept, written atomically. Put it where a restored database doesn't bring its own along.
   * Absent: rollbacks are not noticed.
   */
  readonly generationPath?: string;
  /** Writes that may wait for their commit before callers wait. Default 4096. */
  readonly maxQueuedWrites?: number;
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
}
