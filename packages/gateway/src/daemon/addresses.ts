import { isIP, isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { BoundAddress, ListenAddress, ListenOptions, SocketAddress } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";

/** Most addresses a ticket or a certificate's answer carries. docs/wire.md, "Pairing". */
const MAX_ADDRESSES = 8;

/** Addresses as a list, where one alone was given. */
export function listenAddresses(address: ListenOptions["address"]): readonly ListenAddress[] {
  return "host" in address || "fd" in address ? [address] : address;
}

/**
 * Two processes would read one socket, each missing what the other took.
 * @throws {GatewayError} `ADDRESS_UNAVAILABLE` where the mesh endpoint and the pairing endpoint are given the same descriptor
 */
export function assertSocketsDiffer(mesh: ListenOptions["address"], pairing: ListenOptions["address"]): void {
  const taken = new Set(listenAddresses(mesh).flatMap((each) => ("fd" in each ? [each.fd] : [])));
  for (const each of listenAddresses(pairing)) {
    if (!("fd" in each) || !taken.has(each.fd)) continue;
    const message = `the mesh endpoint and the pairing endpoint cannot share file descriptor ${each.fd}`;
    throw new GatewayError("ADDRESS_UNAVAILABLE", message);
  }
}

/**
 * What to tell nodes to dial, for an endpoint that is bound to these addresses. Hosts that the operator named are told with its first port. Else each address: a name as it was
 * given; one that stands for all of the machine's as those that are not internal; IPv6 link-local ones not at all, as their zone means nothing elsewhere. Loopback comes last, and
 * where nothing else is left the endpoint's own addresses are told as they are.
 */
export function advertisedAddresses(
  bound: readonly BoundAddress[],
  named: readonly string[] = [],
): readonly SocketAddress[] {
  const port = bound[0]?.port ?? 0;
  const told = named.length > 0 ? named.map((host) => ({ host, port })) : bound.flatMap((each) => toldFor(each, bound));
  const unique = new Map(told.map((address) => [formatAddress(address), address]));
  const ordered = [...unique.values()].sort((a, b) => Number(isLoopback(a.host)) - Number(isLoopback(b.host)));
  if (ordered.length > 0) return ordered.slice(0, MAX_ADDRESSES);
  return bound.slice(0, MAX_ADDRESSES).map(({ host, port: own }) => ({ host, port: own }));
}

/**
 * Whether an answer may leave from another address than a node dialed: the kernel picks it for a socket that is bound to all of several addresses, and node:dgram can't tell it which.
 */
export function mayAnswerFromElsewhere(bound: readonly SocketAddress[]): boolean {
  return bound.some((each) => isWildcard(each.host) && ownAddresses(each, bound).length > 1);
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({ host, port }: SocketAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A listening address as people write it. */
export function formatListenAddress(address: ListenAddress): string {
  return "fd" in address ? `fd:${address.fd}` : formatAddress(address);
}

function toldFor(address: BoundAddress, all: readonly SocketAddress[]): readonly SocketAddress[] {
  const { host, port, asked } = address;
  if ("host" in asked && isIP(asked.host) === 0) return [{ host: asked.host, port }];
  if (!isWildcard(host)) return isLinkLocal(host) ? [] : [{ host, port }];
  const own = ownAddresses(address, all);
  return (own.length > 0 ? own : [host === "::" ? "::1" : "127.0.0.1"]).map((each) => ({ host: each, port }));
}

/** What a socket on all addresses stands for. One on `::` takes IPv4 only where no other has that port there. */
function ownAddresses(wildcard: SocketAddress, all: readonly SocketAddress[]): readonly string[] {
  const takesIpv4 = wildcard.host !== "::" || !all.some(({ host, port }) => port === wildcard.port && isIPv4(host));
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
    .filter(({ family }) => (family === "IPv4" ? takesIpv4 : wildcard.host === "::"))
    .map(({ address }) => address);
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/iu.test(address);
}
