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

/**
 * The IP addresses of a host, in the resolver's order.
 * @throws the resolver's error for an unknown name
 */
export async function resolve(address: SocketAddress): Promise<IpAddress[]> {
  const literal = isIP(address.host);
  if (literal === 4 || literal === 6) return [{ ...address, family: literal }];
  const found = await lookup(address.host, { all: true });
  return found.map((each) => ({ host: each.address, port: address.port, family: each.family === 6 ? 6 : 4 }));
}

/**
 * The prefix that shares one handshake budget: the whole address for IPv4, the first 64 bits for IPv6 (what one subscriber usually gets).
 */
export function sourcePrefix(host: string): string {
  const ip = unmapped(host);
  if (!ip.includes(":")) return ip;
  const bare = ip.split("%", 1)[0] ?? ip;
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
