import type { GatewayError } from "../../errors.ts";
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
  /** Most bytes the database file may take; beyond it writes are refused as on a full disk. Default: no bound but the disk. */
  readonly maxBytes?: number;
  /** Writes that may wait for their commit; more are refused `STORE_OVERLOADED`. Default 16384. */
  readonly maxQueuedWrites?: number;
  readonly logger?: Logger;
  /** Called once, when a thread of the store has broken: nothing can be stored or read any more. */
  readonly onBroken?: (error: GatewayError) => void;
  readonly signal?: AbortSignal;
}
