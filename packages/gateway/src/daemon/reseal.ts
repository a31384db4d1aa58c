/** `quaymesh gateway reseal`: the keys of a stopped gateway, sealed by something else. */
import { access, rm } from "node:fs/promises";
import {
  createKeyFile,
  deriveSealingKey,
  IdentityError,
  newPassphraseParameters,
  planReseal,
  readKeyFile,
  settleReseal,
  type SealedWith,
  type SealingKey,
  type Secret,
} from "@quaymesh/identity";
import { authorityError, openKeys, type SealingSource } from "./open-authority.ts";
import { prepareState } from "./prepare-state.ts";
import { StateLock } from "./state-lock.ts";

/** What seals the keys from then on. */
export type NewSealing =
  | { readonly kind: "passphrase"; readonly passphrase: Secret<string> }
  /** A file that is there is taken, another is made. */
  | { readonly kind: "key-file"; readonly path: string }
  | { readonly kind: "key"; readonly key: SealingKey };

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

async function sealedWith(to: NewSealing): Promise<SealedWith> {
  switch (to.kind) {
    case "key":
      return { key: to.key };
    case "key-file":
      return { key: (await exists(to.path)) ? await readKeyFile(to.path) : await createKeyFile(to.path) };
    case "passphrase": {
      const parameters = newPassphraseParameters();
      return { key: await deriveSealingKey(to.passphrase, parameters), parameters };
    }
    default:
      return to satisfies never;
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
