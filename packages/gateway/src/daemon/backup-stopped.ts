import type { SealedWith } from "@quaymesh/identity";
import { createBackup } from "../backup/create.ts";
import { openKeys, type SealingSource } from "./open-authority.ts";
import { prepareState, removeLeftovers } from "./prepare-state.ts";
import { StateLock } from "./state-lock.ts";

/**
 * A backup of a gateway that does not run, as a stream; it keeps one from starting meanwhile.
 * @throws {GatewayError} `GATEWAY_ALREADY_RUNNING`, `AUTHORITY_*`, `PASSPHRASE_*`, `STATE_*`, `STORE_*`
 */
export async function* backupStopped(
  directory: string,
  source: SealingSource,
  options: { readonly sealing: SealedWith; readonly now: number; readonly version: string },
): AsyncGenerator<Uint8Array, void, undefined> {
  const layout = await prepareState(directory, { parents: false });
  await using _lock = await StateLock.acquire(layout);
  await removeLeftovers(layout);
  const keys = await openKeys(layout, source);
  yield* createBackup({ layout, keys, ...options });
}
