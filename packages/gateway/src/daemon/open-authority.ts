import { access, rm } from "node:fs/promises";
import {
  Authority,
  createKeyFile,
  deriveSealingKey,
  IdentityError,
  KeyStore,
  newPassphraseParameters,
  readKeyFile,
  readSealing,
  settleReseal,
  writeSealing,
  type SealingKey,
  type Secret,
} from "@quaymesh/identity";
import { GatewayError } from "../errors.ts";
import type { StateLayout } from "./state-directory.ts";

/** What opens a sealed authority: a key somebody keeps, or a passphrase. Where neither is given, a key file in the state directory. */
export interface SealingSource {
  readonly sealingKey?: SealingKey;
  /** Asked for where the authority is sealed with one, and for a new authority, which it then seals. */
  readonly passphrase?: () => Promise<Secret<string>>;
}

/** Options of {@link openAuthority}. */
export interface OpenAuthorityOptions extends SealingSource {
  readonly meshName: string;
  /** Unix milliseconds. */
  readonly now: number;
}

/** An authority, and the sealed keys it came from. */
export interface OpenAuthority {
  readonly authority: Authority;
  readonly keys: KeyStore;
}

/**
 * The mesh's authority: opened, or made where the state is new. The key file comes first and the sealed authority last, each in one piece, so a start that is killed anywhere leaves a
 * state that the next one completes. A database without an authority is not new: another authority would shut every device out.
 * @throws {GatewayError} `AUTHORITY_MISSING`, `AUTHORITY_UNREADABLE`, `PASSPHRASE_NEEDED`, `PASSPHRASE_WRONG`, `STATE_NOT_PRIVATE`, `STATE_NOT_WRITABLE`, `REQUEST_INVALID` for a bad mesh name
 */
export async function openAuthority(layout: StateLayout, options: OpenAuthorityOptions): Promise<OpenAuthority> {
  try {
    await settleReseal(layout.authority);
    const made = await hasAuthority(layout);
    if (!made && (await exists(layout.database))) {
      throw new GatewayError("AUTHORITY_MISSING", `${layout.directory} has a database but no authority`);
    }
    if (made) {
      const keys = await openKeys(layout, options);
      return { keys, authority: await Authority.open({ store: keys }) };
    }
    const keys = await KeyStore.open(layout.authority, { key: await firstKey(layout, options) });
    const { meshName, now } = options;
    return { keys, authority: await Authority.create({ store: keys, meshName, now }) };
  } catch (cause) {
    throw cause instanceof IdentityError ? authorityError(cause) : cause;
  }
}

/**
 * Open the sealed keys of an authority that is there, whatever seals them; whoever calls it holds the state's lock, or knows that a gateway does.
 * @throws {GatewayError} as {@link openAuthority}
 */
export async function openKeys(layout: StateLayout, source: SealingSource): Promise<KeyStore> {
  try {
    if (!(await hasAuthority(layout))) {
      throw new GatewayError("AUTHORITY_MISSING", `${layout.directory} holds no authority`);
    }
    const sealing = await readSealing(layout.authority);
    if (sealing.kind === "key") {
      const key = source.sealingKey ?? (await readKeyFile(layout.authorityKey));
      return await KeyStore.open(layout.authority, { key });
    }
    if (source.passphrase === undefined) {
      throw new GatewayError("PASSPHRASE_NEEDED", `${layout.authority} is sealed with a passphrase`);
    }
    const key = await deriveSealingKey(await source.passphrase(), sealing.parameters);
    const store = await KeyStore.open(layout.authority, { key });
    await assertPassphrase(store);
    // Of a resealing that was cut short after it had counted: it opens nothing any more but old copies.
    await rm(layout.authorityKey, { force: true });
    return store;
  } catch (cause) {
    throw cause instanceof IdentityError ? authorityError(cause) : cause;
  }
}

/** Whether the state directory holds an authority. */
async function hasAuthority(layout: StateLayout): Promise<boolean> {
  return await exists(`${layout.authority}/authority.sealed`);
}

/** What a failure at the sealed keys means to whoever runs the gateway. */
export function authorityError(cause: IdentityError): GatewayError {
  const metadata = { identityCode: cause.code };
  switch (cause.code) {
    case "STORE_PERMISSIONS":
      return new GatewayError("STATE_NOT_PRIVATE", cause.message, { cause, metadata });
    case "STORE_WRITE_FAILED":
      return new GatewayError("STATE_NOT_WRITABLE", cause.message, { cause, metadata });
    case "VALUE_INVALID":
      return new GatewayError("REQUEST_INVALID", cause.message, { cause, metadata });
    default:
      return new GatewayError("AUTHORITY_UNREADABLE", `the authority cannot be opened: ${cause.message}`, {
        cause,
        metadata,
      });
  }
}

async function firstKey(layout: StateLayout, { sealingKey, passphrase }: SealingSource): Promise<SealingKey> {
  if (passphrase !== undefined) {
    const parameters = newPassphraseParameters();
    const key = await deriveSealingKey(await passphrase(), parameters);
    // Makes the directory.
    await KeyStore.open(layout.authority, { key });
    await writeSealing(layout.authority, parameters);
    return key;
  }
  // A first start with a passphrase that was cut short leaves a header without anything sealed by it.
  await rm(`${layout.authority}/sealing.json`, { force: true });
  if (sealingKey !== undefined) return sealingKey;
  return (await exists(layout.authorityKey))
    ? await readKeyFile(layout.authorityKey)
    : await createKeyFile(layout.authorityKey);
}

async function assertPassphrase(store: KeyStore): Promise<void> {
  try {
    (await store.get("authority")).erase();
  } catch (cause) {
    if (!(cause instanceof IdentityError) || cause.code !== "STORE_KEY_WRONG") throw cause;
    throw new GatewayError("PASSPHRASE_WRONG", "that is not the passphrase this authority is sealed with", { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
