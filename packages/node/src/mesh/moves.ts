/** Following a gateway to another address. docs/wire.md, "Moves". */
import { IdentityError, latestMoveVersion, verifyMove } from "@quaymesh/identity";
import type { Moved, SocketAddress } from "@quaymesh/protocol";
import { formatAddress, parseAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import { rootsOf } from "./roots.ts";

/** How long addresses that a gateway has left are still tried, from the first session at a new one on. */
const FORMER_GRACE_MS = 7 * 86_400_000;
/** Of each kind; a move names at most half of them. */
const MAX_ADDRESSES = 16;

/** Where to dial, in this order: where the gateway is, then where it was. */
export function dialAddresses({ addresses, formerAddresses = [] }: NodeIdentity): readonly SocketAddress[] {
  return distinct([...addresses, ...formerAddresses]);
}

/** The version of the move that was followed; 0 for none, and for one that no gateway can have given by `now`: a later one would never be heard. */
export function knownMove({ moveVersion = 0 }: Pick<NodeIdentity, "moveVersion">, now: number): number {
  return moveVersion > latestMoveVersion(now) ? 0 : moveVersion;
}

/**
 * What a signed move makes of an identity: its addresses first, those of before after them.
 * @throws {IdentityError} `STATEMENT_REFUSED`
 */
export function withMove(identity: NodeIdentity, move: Moved, now: number): NodeIdentity {
  const { meshId } = identity;
  verifyMove(move, { meshId, roots: rootsOf(identity), version: knownMove(identity, now), now });
  const addresses = parsed(move.addresses);
  if (addresses.length === 0) {
    throw new IdentityError(
      "STATEMENT_REFUSED",
      "a statement about the gateway's address names none that can be dialed",
    );
  }
  const { formerUntil: _, ...rest } = identity;
  return {
    ...rest,
    addresses,
    formerAddresses: without(provedAddresses(identity), addresses),
    pairingAddresses: longestKnown([...parsed(move.pairing), ...(identity.pairingAddresses ?? [])]),
    moveVersion: move.version,
  };
}

/** The identity after a session began at `address`: one at a new address starts the clock for the former ones, and one after that ends them. */
export function withSessionAt(identity: NodeIdentity, address: SocketAddress, now: number): NodeIdentity {
  const { formerAddresses, formerUntil, ...rest } = identity;
  if (formerAddresses === undefined) return identity;
  const dialed = formatAddress(address);
  if (!identity.addresses.some((known) => formatAddress(known) === dialed)) return identity;
  if (formerUntil === undefined) return { ...identity, formerUntil: now + FORMER_GRACE_MS };
  return now < formerUntil ? identity : rest;
}

/** Pairing endpoints after a gateway told of these: it may not have moved yet, so those of a move that no session has proved stay. */
export function withPairing(identity: NodeIdentity, told: readonly SocketAddress[]): NodeIdentity {
  const known = identity.pairingAddresses ?? [];
  const unproved = identity.formerAddresses !== undefined && identity.formerUntil === undefined;
  const next = unproved ? unique([...known, ...told]) : told;
  if (told.length === 0 || next.map(formatAddress).join() === known.map(formatAddress).join()) return identity;
  return { ...identity, pairingAddresses: next };
}

/** Where sessions were. Addresses of a move that nothing has proved give way to those of the next, or a few moves would crowd out where the gateway is. */
function provedAddresses(identity: NodeIdentity): readonly SocketAddress[] {
  const { formerAddresses, formerUntil } = identity;
  return formerAddresses !== undefined && formerUntil === undefined ? formerAddresses : dialAddresses(identity);
}

/** Of too many, those in the middle go: the first are the newest, and the last were there before any move that is not proved. */
function longestKnown(addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  const all = distinct(addresses);
  const half = MAX_ADDRESSES / 2;
  return all.length <= MAX_ADDRESSES ? all : [...all.slice(0, half), ...all.slice(-half)];
}

function parsed(texts: readonly string[]): readonly SocketAddress[] {
  return texts.map(parseAddress).filter((address) => address !== undefined);
}

function without(addresses: readonly SocketAddress[], others: readonly SocketAddress[]): readonly SocketAddress[] {
  const taken = new Set(others.map(formatAddress));
  return addresses.filter((address) => !taken.has(formatAddress(address))).slice(0, MAX_ADDRESSES);
}

function unique(addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  return distinct(addresses).slice(0, MAX_ADDRESSES);
}

function distinct(addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  return [...new Map(addresses.map((address) => [formatAddress(address), address])).values()];
}
