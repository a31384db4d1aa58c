import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { SocketAddress } from "@quaymesh/protocol";

/** An address with its family; `host` is always an IP address. */
export interface IpAddress extends SocketAddress {
  readonly family: 4 | 6;
}

const MAPPED_PREFIX = "::ffff:";

/** `::ffff:192.0.2.1`, as a dual-stack socket shows IPv4 peers, becomes `192.0.2.1`. */
export function unmapped(host: string): string {
  return host.startsWith(MAPPED_PREFIX) && host.includes(".") ? host.slice(MAPPED_PREFIX.length) : host;
}

/** Whether packets to `host` stay on this machine. */
export function isLoopback(host: string): boolean {
  const ip = unmapped(host);
  return ip === "::1" || (ip.startsWith("127.") && isIP(ip) === 4);
}

/** Whether `host` stands for all local addresses. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** `192.0.2.1:7420` or `[2001:db8::1]:7420`. */
export function printAddress(address: SocketAddress): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Finds the addresses of a name, best first. Fails as `node:dns` does. */
export type Lookup = (name: string) => Promise<readonly { readonly address: string; readonly family: 4 | 6 }[]>;

/** The system's resolver, in its own order (RFC 6724). */
const systemLookup: Lookup = async (name) => {
  const found = await lookup(name, { all: true, order: "verbatim" });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
};

/**
 * The IP addresses of a host, each once, in the resolver's order.
 * @throws the resolver's error for an unknown name
 */
export async function resolve({ host, port }: SocketAddress, find: Lookup = systemLookup): Promise<IpAddress[]> {
  const literal = isIP(host);
  if (literal === 4 || literal === 6) return [{ host, port, family: literal }];
  const found = new Map((await find(host)).map(({ address, family }) => [address, family]));
  return [...found].map(([address, family]) => ({ host: address, port, family }));
}

/**
 * Names of zones that were seen, so that {@link nativeHost} can put a number for one into an address; the number is its index. There are as many as this machine has had
 * network interfaces.
 */
const zones: string[] = [""];
const ZONED = /^fe80::([0-9a-f:]*)%(.+)$/iu;
const NATIVE_ZONED = /^fe80:([1-9a-f][0-9a-f]{0,3})::([0-9a-f:]*)$/u;

/**
 * A host as quiche takes it. It knows nothing of zones, so the zone of a link-local address becomes a number in the second group, which is zero in all of them: `fe80::1%eth0`
 * is `fe80:1::1` to it. Everything else stays as it is.
 */
export function nativeHost(host: string): string {
  const [, rest, zone] = (host.includes("%") ? ZONED.exec(host) : null) ?? [];
  if (rest === undefined || zone === undefined) return host;
  let index = zones.indexOf(zone);
  if (index < 0) index = zones.push(zone) - 1;
  return `fe80:${index.toString(16)}::${rest}`;
}

/** The inverse of {@link nativeHost}: what the system takes and people read. */
export function systemHost(host: string): string {
  const [, index, rest] = (host.startsWith("fe80:") ? NATIVE_ZONED.exec(host) : null) ?? [];
  const zone = index === undefined ? undefined : zones[Number.parseInt(index, 16)];
  return zone === undefined ? host : `fe80::${rest}%${zone}`;
}

/** {@link systemHost} of an address. */
export function systemAddress(address: SocketAddress): SocketAddress {
  return address.host.startsWith("fe80:") ? { host: systemHost(address.host), port: address.port } : address;
}

/** The address of a peer as people read it. */
export function shownHost(host: string): string {
  return systemHost(unmapped(host));
}

/**
 * The prefix that shares one handshake budget: the whole address for IPv4, the first 64 bits for IPv6 (what one subscriber usually gets). Link-local addresses
 * share theirs within one zone; `host` is as quiche takes it.
 */
export function sourcePrefix(host: string): string {
  const ip = unmapped(host);
  if (!ip.includes(":")) return ip;
  const bare = nativeHost(ip).split("%", 1)[0] ?? ip;
  const [head = "", tail] = bare.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  // What `::` stands for is zeros up to the groups after it.
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  return [...groups, ...Array.from({ length: zeros }, () => "0"), ...after]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}
