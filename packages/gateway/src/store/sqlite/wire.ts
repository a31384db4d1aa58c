/** What crosses between the store and its worker threads. Both ends are this package, so that the types are the check. */
import type { PlainError } from "./errors.ts";
import type { OpenFile } from "./open.ts";
import type { UnitName } from "./units.ts";

/** `write` commits in groups; `read` has a read-only connection. */
export type WorkerRole =
  | { readonly kind: "write"; readonly file: OpenFile }
  | { readonly kind: "read"; readonly path: string }
  /** Copies a database as of one moment, and ends. */
  | { readonly kind: "snapshot"; readonly from: string; readonly to: string };

/** One call. */
export interface Job {
  readonly id: number;
  readonly unit: UnitName;
  readonly input: unknown;
}

/** Its answer; for a write, after COMMIT. */
export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: PlainError };

/** To a worker. */
export type ToWorker = { readonly kind: "jobs"; readonly jobs: readonly Job[] } | { readonly kind: "close" };

/** From a worker; `opened` or `refused` comes first, once. */
export type FromWorker =
  | { readonly kind: "opened"; readonly logId: string; readonly generation: number }
  | { readonly kind: "refused"; readonly error: PlainError }
  | { readonly kind: "replies"; readonly replies: readonly Reply[] };
