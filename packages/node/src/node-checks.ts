import { assertPrivate } from "@quaymesh/identity";
import { NodeError } from "./errors.ts";
import type { NodeOptions } from "./node-options.ts";
import type { StateLayout } from "./state/layout.ts";

/** @throws {NodeError} `OPTIONS_INVALID` */
export function checkOptions({ concurrency, maxQueuedTasks, maxOutboxBytes, compress = "auto" }: NodeOptions): void {
  const isWhole = (value: number | undefined, least: number): boolean =>
    value === undefined || (Number.isSafeInteger(value) && value >= least);
  if (!isWhole(concurrency, 1)) throw new NodeError("OPTIONS_INVALID", "concurrency is 1 or more");
  if (!isWhole(maxQueuedTasks, 0)) throw new NodeError("OPTIONS_INVALID", "maxQueuedTasks is 0 or more");
  if (!isWhole(maxOutboxBytes, 1_048_576)) throw new NodeError("OPTIONS_INVALID", "maxOutboxBytes is 1 MiB or more");
  // Callers without types are told too.
  if (!["auto", "never"].includes(compress)) throw new NodeError("OPTIONS_INVALID", "compress is auto or never");
}

/**
 * Refuse a state directory or a key that others can read.
 * @throws {NodeError} `STATE_UNREADABLE`
 */
export async function checkPrivate(layout: StateLayout): Promise<void> {
  try {
    await assertPrivate(layout.directory);
    await assertPrivate(layout.key);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : "the state directory cannot be used";
    throw new NodeError("STATE_UNREADABLE", message, { cause, details: { state: layout.directory } });
  }
}
