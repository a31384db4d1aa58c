/** What becomes of a mesh's roots: their keys go and come back, intermediates are replaced, one root takes over from another. Each step is one write of the CA's file. */
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { KeyPair } from "../keys/key-pair.ts";
import { rootStatementBytes, signBytes, type RootStatement, type UnsignedRoot } from "../roots/statement.ts";
import type { KeyStore } from "../store/key-store.ts";
import type { LineFacts } from "./issued.ts";
import { createIssuing, createRoot, type Issuer } from "./issuer.ts";
import {
  type AuthorityFile,
  keyHashOf,
  linesOf,
  loadAuthority,
  type RootLine,
  rootKeyName,
  saveAuthority,
} from "./storage.ts";

/** The newest of a CA's lines. */
export function newestLine(file: AuthorityFile): RootLine {
  return linesOf(file).at(-1) ?? file.shown;
}

/**
 * The key of a line's root: the one given, where one is, else the stored one.
 * @throws {IdentityError} `ROOT_KEY_OFFLINE`, `ROOT_KEY_WRONG`, `STORE_*`
 */
export async function rootKeyOf(store: KeyStore, line: RootLine, given?: KeyPair): Promise<KeyPair> {
  const name = rootKeyName(line.version);
  if (given === undefined && !(await store.has(name))) {
    throw new IdentityError("ROOT_KEY_OFFLINE", "the root's key is not on this gateway");
  }
  const key = given ?? (await KeyPair.fromPem(await store.getText(name)));
  if (timingSafeEqualBytes(key.spkiSha256, keyHashOf(line.root))) return key;
  throw new IdentityError("ROOT_KEY_WRONG", "this is the key of another root");
}

/**
 * How the newest root's key is on this gateway: `missing` where it was taken offline, or lost. For people: nothing but a rotation and another intermediate needs it.
 * @throws {IdentityError} `STORE_READ_FAILED`
 */
export async function rootKeyHealth(store: KeyStore, line: RootLine): Promise<"here" | "missing" | "damaged"> {
  try {
    await rootKeyOf(store, line);
    return "here";
  } catch (cause) {
    if (!(cause instanceof IdentityError) || cause.code === "STORE_READ_FAILED") throw cause;
    return cause.code === "ROOT_KEY_OFFLINE" ? "missing" : "damaged";
  }
}

/** Another intermediate, with a key of its own, below the newest root. What the one before it has issued stays good. @throws {IdentityError} as {@link rootKeyOf} */
export async function renewIssuing(
  store: KeyStore,
  file: AuthorityFile,
  options: { readonly meshName: string; readonly now: number; readonly rootKey?: KeyPair },
): Promise<AuthorityFile> {
  const line = newestLine(file);
  const keyPair = await rootKeyOf(store, line, options.rootKey);
  const root: Issuer = { certificate: line.root, keyPair };
  const issuing = await createIssuing(root, await KeyPair.generate(), options.meshName, options.now);
  const renewed = { ...line, issuing };
  const next = line === file.shown ? { ...file, shown: renewed } : { ...file, beside: renewed };
  await saveAuthority(store, next);
  return next;
}

/**
 * Begin a rotation: another root, and the word of this one that it follows. Both are trusted from then on; endpoints still hang from the old one.
 * @throws {IdentityError} `ROTATION_STATE` where one is under way, and as {@link rootKeyOf}
 */
export async function startRotation(
  store: KeyStore,
  file: AuthorityFile,
  options: { readonly meshName: string; readonly now: number; readonly overlapMs: number; readonly rootKey?: KeyPair },
): Promise<AuthorityFile> {
  if (file.beside !== undefined) throw new IdentityError("ROTATION_STATE", "a rotation of the root is under way");
  const { meshName, now } = options;
  const signing = await rootKeyOf(store, file.shown, options.rootKey);
  const version = file.shown.version + 1;
  const key = await KeyPair.generate();
  const root = await createRoot(key, meshName, now, { meshId: file.meshId, version });
  const issuing = await createIssuing(root, await KeyPair.generate(), meshName, now);
  const unsigned: UnsignedRoot = {
    version,
    signer: signing.spkiSha256,
    root: new Uint8Array(root.certificate.rawData),
    until: now + options.overlapMs,
  };
  const statement: RootStatement = {
    ...unsigned,
    signature: signBytes(rootStatementBytes(file.meshId, unsigned), signing),
  };
  const beside = { version, root: root.certificate, issuing };
  const next = { ...file, beside, statements: [...file.statements, statement] };
  // A crash between the two leaves a key that nothing names: the next start of a rotation replaces it.
  await store.put(rootKeyName(version), key.privatePem());
  await saveAuthority(store, next);
  return next;
}

/** Have endpoints hang from the new root. @throws {IdentityError} `ROTATION_STATE` where there is none, or they do already */
export async function switchRotation(store: KeyStore, file: AuthorityFile): Promise<AuthorityFile> {
  const { shown, beside } = file;
  if (beside === undefined) throw new IdentityError("ROTATION_STATE", "no rotation of the root is under way");
  if (beside.version < shown.version) {
    throw new IdentityError("ROTATION_STATE", "the gateway's certificates hang from the new root already");
  }
  const next = { ...file, shown: beside, beside: shown };
  await saveAuthority(store, next);
  return next;
}

/** Trust the old root no more; its key is then to be forgotten. @throws {IdentityError} `ROTATION_STATE` unless endpoints hang from the new one */
export async function finishRotation(store: KeyStore, file: AuthorityFile): Promise<AuthorityFile> {
  const { shown, beside } = file;
  if (beside === undefined) throw new IdentityError("ROTATION_STATE", "no rotation of the root is under way");
  if (beside.version > shown.version) {
    throw new IdentityError("ROTATION_STATE", "the gateway's own certificates still hang from the old root");
  }
  const next = { ...file, beside: undefined };
  await saveAuthority(store, next);
  return next;
}

/** Read a CA, and end what a crash in {@link finishRotation} or {@link startRotation} has left: keys of roots that are no more, or never came to be. */
export async function openAuthorityFile(store: KeyStore): Promise<AuthorityFile> {
  const file = await loadAuthority(store);
  await forgetOldKeys(store, file);
  return file;
}

/** Remove the keys of roots that are not this CA's, or not any more. @throws {IdentityError} `STORE_WRITE_FAILED` */
export async function forgetOldKeys(store: KeyStore, file: AuthorityFile): Promise<void> {
  const kept = new Set(linesOf(file).map(({ version }) => rootKeyName(version)));
  const names = await store.names();
  for (const name of names) {
    if (/^root-key(?:-\d+)?$/.test(name) && !kept.has(name)) await store.delete(name);
  }
}

/** What there is to know of a line without its keys. */
export function factsOf({ version, root, issuing }: RootLine, shown: boolean): LineFacts {
  return {
    version,
    shown,
    rootDer: new Uint8Array(root.rawData),
    rootSpkiSha256: keyHashOf(root),
    rootNotAfter: root.notAfter.getTime(),
    issuingNotAfter: issuing.certificate.notAfter.getTime(),
  };
}
