import { access } from "node:fs/promises";
import { Authority, createKeyFile, IdentityError, KeyStore, readKeyFile, type SealingKey } from "@quaymesh/identity";
import { GatewayError } from "../errors.ts";
import type { StateLayout } from "./state-directory.ts";

/** Options of {@link openAuthority}. */
export interface OpenAuthorityOptions {
  readonly meshName: string;
  readonly sealingKey?: SealingKey;
  /** Unix milliseconds. */
  readonly now: number;
}

/**
 * The mesh's authority: opened, or made where the state is new. The key file comes first and the sealed authority last, each in one piece, so a start that is killed anywhere leaves a
 * state that the next one completes. A database without an authority is not new: another authority would shut every device out.
 * @throws {GatewayError} `AUTHORITY_MISSING`, `AUTHORITY_UNREADABLE`, `STATE_NOT_PRIVATE`, `STATE_NOT_WRITABLE`, `REQUEST_INVALID` for a bad mesh name
 */
export async function openAuthority(layout: StateLayout, options: OpenAuthorityOptions): Promise<Authority> {
  try {
    const made = await exists(`${layout.authority}/authority.sealed`);
    if (!made && (await exists(layout.database))) {
      throw new GatewayError("AUTHORITY_MISSING", `${layout.directory} has a database but no authority`);
    }
    const key = options.sealingKey ?? (await keyOf(layout, made));
    const store = await KeyStore.open(layout.authority, { key });
    if (made) return await Authority.open({ store });
    return await Authority.create({ store, meshName: options.meshName, now: options.now });
  } catch (cause) {
    throw cause instanceof IdentityError ? gatewayError(cause) : cause;
  }
}

async function keyOf(layout: StateLayout, made: boolean): Promise<SealingKey> {
  if (made || (await exists(layout.authorityKey))) return await readKeyFile(layout.authorityKey);
  return await createKeyFile(layout.authorityKey);
}

function gatewayError(cause: IdentityError): GatewayError {
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

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
