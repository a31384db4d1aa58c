/** How a node follows its mesh from one root to the next: by the word of a root that it trusts, and by nothing else. docs/wire.md, "Roots". */
import { fingerprint, timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { dateFault, type PathCertificate, readRoot, rootFault } from "../trust/path.ts";
import { meshNamedBy } from "./named-mesh.ts";
import { isSigned, rootStatementBytes, type RootStatement } from "./statement.ts";

/** The roots a node trusts. */
export interface TrustedRoots {
  /** Of the statement that led to the newest; 0 where pairing did. For people alone: what follows what is said by who signs. */
  readonly version: number;
  /** DER: the pinned root, or two while one takes over from the other, the older first. */
  readonly roots: readonly Uint8Array[];
}

/** What came of statements. */
export type Followed =
  /** The last of them is about the root that is the newest here already. */
  | { readonly kind: "known" }
  /** There is a newer root. `until`: how long the one before it is to be trusted, Unix milliseconds. */
  | { readonly kind: "advanced"; readonly trusted: TrustedRoots; readonly until: number };

/**
 * Follow statements, oldest first. Those about roots this node has left behind are passed over; each of the others must be signed by the newest root that is trusted by then. All of them or none.
 * @param options.now Unix milliseconds
 * @throws {IdentityError} `STATEMENT_REFUSED`: nothing leads from a trusted root to the last of them, a signature or a root is wrong, or one is older than what is known
 */
export function followRoots(
  held: TrustedRoots,
  statements: readonly RootStatement[],
  options: { readonly meshId: string; readonly now: number },
): Followed {
  let trusted = held;
  let until = 0;
  for (const statement of statements) {
    const newest = newestOf(trusted);
    if (!timingSafeEqualBytes(statement.signer, newest.spkiSha256)) continue;
    const next = checkStatement(statement, newest, options);
    trusted = { version: statement.version, roots: [newest.der, next] };
    ({ until } = statement);
  }
  const last = statements.at(-1);
  if (last === undefined || !timingSafeEqualBytes(last.root, newestOf(trusted).der)) {
    const seen = last === undefined ? "there is none" : `the last is signed by ${fingerprint(last.signer)}`;
    throw refused(`none leads on from the trusted root ${fingerprint(newestOf(trusted).spkiSha256)}: ${seen}`);
  }
  return trusted === held ? { kind: "known" } : { kind: "advanced", trusted, until };
}

/** Only the newest of them. */
export function dropOldRoot({ version, roots }: TrustedRoots): TrustedRoots {
  return { version, roots: roots.slice(-1) };
}

/** SHA-256 of a root's SubjectPublicKeyInfo. @throws {IdentityError} `CHAIN_INVALID` where it cannot be read */
export function rootKeyHash(root: Uint8Array): Uint8Array {
  const read = readRoot(root);
  if (typeof read === "string") throw new IdentityError("CHAIN_INVALID", read);
  return read.spkiSha256;
}

function checkStatement(
  statement: RootStatement,
  signer: PathCertificate,
  { meshId, now }: { readonly meshId: string; readonly now: number },
): Uint8Array {
  // The signature first: what a stranger says is not looked at.
  if (!isSigned(rootStatementBytes(meshId, statement), statement.signature, signer.publicKey)) {
    throw refused("its signature is not that of the trusted root it names");
  }
  const next = readRoot(statement.root);
  if (typeof next === "string") throw refused(next);
  const fault = rootFault(next) ?? dateFault(next, now);
  if (fault !== undefined) throw refused(`the root it names: ${fault}`);
  const named = meshNamedBy(next.x509, next.spkiSha256);
  if (named !== meshId) throw refused(`the root it names is of mesh ${named}`);
  return next.der;
}

function newestOf({ roots }: TrustedRoots): PathCertificate {
  const newest = readRoot(roots.at(-1) ?? new Uint8Array());
  if (typeof newest === "string") throw new IdentityError("CHAIN_INVALID", `the pinned root: ${newest}`);
  return newest;
}

function refused(why: string): IdentityError {
  return new IdentityError("STATEMENT_REFUSED", `a statement about this mesh's root is refused: ${why}`);
}
