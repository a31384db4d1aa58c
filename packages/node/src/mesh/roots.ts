/** Which roots a node trusts, as its identity has them. docs/wire.md, "Roots". */
import {
  certificatesFromPem,
  certificatesToPem,
  dropOldRoot,
  followRoots,
  isBelowRoot,
  rootKeyHash,
  type TrustedRoots,
} from "@quaymesh/identity";
import type { Connection, Roots } from "@quaymesh/protocol";
import type { NodeIdentity } from "../state/identity-file.ts";

/** DER; the newest last. */
export function rootsOf({ rootPem }: Pick<NodeIdentity, "rootPem">): readonly Uint8Array[] {
  return certificatesFromPem(rootPem);
}

/** SHA-256 of each root's SubjectPublicKeyInfo, the newest last: the pins. @throws {IdentityError} `CHAIN_INVALID` */
export function pinsOf(identity: Pick<NodeIdentity, "rootPem">): Uint8Array[] {
  return rootsOf(identity).map(rootKeyHash);
}

/** Below which of the trusted roots a session is: its SHA-256, and whether it is the newest of them. Nothing where it is below none, as no session of a real gateway is. */
export function rootBelow(
  identity: Pick<NodeIdentity, "rootPem">,
  { peer }: Pick<Connection, "peer">,
): { readonly key: string; readonly isNewest: boolean } | undefined {
  const roots = rootsOf(identity);
  const at = roots.findLastIndex((root) => isBelowRoot(peer.chain[1], root));
  const root = roots[at];
  if (root === undefined) return undefined;
  return { key: Buffer.from(rootKeyHash(root)).toString("hex"), isNewest: at === roots.length - 1 };
}

/**
 * What statements make of an identity: the same object where they say what it knows.
 * @throws {IdentityError} `STATEMENT_REFUSED`
 */
export function withRoots(
  identity: NodeIdentity,
  { statements }: Pick<Roots, "statements">,
  now: number,
): NodeIdentity {
  const { meshId } = identity;
  const followed = followRoots(trustedBy(identity), statements, { meshId, now });
  if (followed.kind === "known") return identity;
  const { trusted, until } = followed;
  return { ...identity, rootPem: certificatesToPem(trusted.roots), rootVersion: trusted.version, oldRootUntil: until };
}

/**
 * The identity without the root that was followed by another, where that is to be: its time is over or the gateway says that it trusts the new one alone; and only where `connection` itself proves the new one.
 * @param options.settled what the gateway said on `connection`
 */
export function withoutOldRoot(
  identity: NodeIdentity,
  connection: Pick<Connection, "peer">,
  options: { readonly settled: boolean; readonly now: number },
): NodeIdentity {
  if (identity.oldRootUntil === undefined) return identity;
  const isOver = options.settled || options.now >= identity.oldRootUntil;
  const trusted = trustedBy(identity);
  if (!isOver || !isBelowRoot(connection.peer.chain[1], trusted.roots.at(-1))) return identity;
  const { oldRootUntil: _, ...rest } = identity;
  return { ...rest, rootPem: certificatesToPem(dropOldRoot(trusted).roots) };
}

function trustedBy(identity: NodeIdentity): TrustedRoots {
  return { version: identity.rootVersion ?? 0, roots: rootsOf(identity) };
}
