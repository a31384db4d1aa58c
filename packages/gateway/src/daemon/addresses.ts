import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { SocketAddress } from "@quaymesh/protocol";

/** Most addresses a ticket or a certificate's answer carries. docs/wire.md, "Pairing". */
const MAX_ADDRESSES = 8;

/**
 * Hosts to tell nodes, for an endpoint that listens on `host`: those the operator named; else the host itself; and where it listens on every
 * address, the machine's own that are not internal (IPv6 link-local ones need a zone and are left out), or loopback if it has no other.
 */
export function advertisedHosts(host: string, named: readonly string[] = []): readonly string[] {
  if (named.length > 0) return named.slice(0, MAX_ADDRESSES);
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(
      ({ internal, address, family }) => !internal && !isLinkLocal(address) && (host === "::" || family === "IPv4"),
    )
    .map(({ address }) => address);
  return own.length > 0 ? own.slice(0, MAX_ADDRESSES) : ["127.0.0.1"];
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({ host, port }: SocketAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/iu.test(address);
}
