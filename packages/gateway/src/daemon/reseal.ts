/** `quaymesh gateway reseal`: the keys of a stopped gateway, sealed by something else. */
import { rm } from "node:fs/promises";
import { IdentityError, planReseal, settleReseal } from "@quaymesh/identity";
import { sealedWith, type NewSealing } from "./new-sealing.ts";
import { authorityError, openKeys, type SealingSource } from "./open-authority.ts";
import { prepareState } from "./prepare-state.ts";
import { StateLock } from "./state-lock.ts";

/**
 * Seal the authority of a stopped gateway with something else. Whenever it is cut short, the old key opens it, or the new one does.
 * @throws {GatewayError} `GATEWAY_ALREADY_RUNNING`, `AUTHORITY_*`, `PASSPHRASE_*`, `STATE_*`
 */
export async function resealGateway(directory: string, from: SealingSource, to: NewSealing): Promise<void> {
  const layout = await prepareState(directory, { parents: false });
  await using _lock = await StateLock.acquire(layout);
  try {
    await settleReseal(layout.authority);
    const keys = await openKeys(layout, from);
    const next = await sealedWith(to);
    for (const step of planReseal(layout.authority, keys.key, next)) await step();
    // Left behind it would open every older copy of this state.
    const kept = to.kind === "key-file" && to.path === layout.authorityKey;
    if (!kept) await rm(layout.authorityKey, { force: true });
    keys.key.key.erase();
    next.key.key.erase();
  } catch (cause) {
    throw cause instanceof IdentityError ? authorityError(cause) : cause;
  }
}
