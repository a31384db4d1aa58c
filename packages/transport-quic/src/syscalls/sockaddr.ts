import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { DatagramSource } from "../udp-socket.ts";

/** `struct sockaddr_in6`, the longer of the two. */
export const SOCKADDR_BYTES = 28;
const SOCKADDR_IN_BYTES = 16;
/** Linux. */
export const AF_INET = 2;
/** Linux. */
export const AF_INET6 = 10;

/**
 * Write `host` and `port` as a `struct sockaddr_in` or `sockaddr_in6` (Linux, little-endian).
 * @param family of the socket: on an IPv6 one an IPv4 address is written mapped
 * @returns the length in bytes; 0 where `host` is no IP address of that family, or has a zone this machine does not know
 */
export function writeSockaddr(out: Uint8Array, host: string, port: number, family: 4 | 6): number {
  const view = new DataView(out.buffer, out.byteOffset, SOCKADDR_BYTES);
  if (family === 4) {
    if (!isIPv4(host)) return 0;
    out.fill(0, 0, SOCKADDR_IN_BYTES);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port);
    writeIpv4(out, 4, host);
    return SOCKADDR_IN_BYTES;
  }
  const [bare = "", zone] = host.split("%", 2);
  const groups = isIPv4(host) ? ipv6Groups(`::ffff:${host}`) : isIPv6(host) ? ipv6Groups(bare) : undefined;
  const scope = zone === undefined ? 0 : scopeOf(zone);
  if (groups === undefined || scope === undefined) return 0;
  out.fill(0, 0, SOCKADDR_BYTES);
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port);
  groups.forEach((group, index) => view.setUint16(8 + 2 * index, group));
  view.setUint32(24, scope, true);
  return SOCKADDR_BYTES;
}

/** Read what the kernel wrote, in the words of node:dgram. */
export function readSockaddr(bytes: Uint8Array): DatagramSource {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SOCKADDR_BYTES);
  const port = view.getUint16(2);
  if (view.getUint16(0, true) === AF_INET) return { address: bytes.subarray(4, 8).join("."), port };
  const scope = view.getUint32(24, true);
  const address = printIpv6(Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index)));
  return { address: scope === 0 ? address : `${address}%${zoneOf(scope)}`, port };
}

const writeIpv4 = (out: Uint8Array, offset: number, host: string): void => {
  host.split(".").forEach((part, index) => {
    out[offset + index] = Number(part);
  });
};

const hexGroups = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => parseInt(group, 16)));

// RFC 4291 section 2.2, of text that `isIPv6` has accepted.
const ipv6Groups = (text: string): number[] => {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [, head = "", ...parts] = dotted;
    const [a = 0, b = 0, c = 0, d = 0] = parts.map(Number);
    return ipv6Groups(`${head}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const [head = "", tail] = text.split("::", 2);
  const before = hexGroups(head);
  const after = hexGroups(tail ?? "");
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
};

const MAPPED = [0, 0, 0, 0, 0, 0xffff];

// RFC 5952: the longest run of two zeros or more is left out, the first of equal ones.
const printIpv6 = (groups: readonly number[]): string => {
  if (MAPPED.every((group, index) => groups[index] === group)) {
    const [high = 0, low = 0] = groups.slice(6);
    return `::ffff:${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
  }
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (best.length < 2) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
};

const scopes = (): [string, number][] =>
  Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).flatMap((each): [string, number][] =>
      each.family === "IPv6" && each.scopeid !== 0 ? [[name, each.scopeid]] : [],
    ),
  );

const scopeOf = (zone: string): number | undefined =>
  /^\d+$/.test(zone) ? Number(zone) : scopes().find(([name]) => name === zone)?.[1];

const zoneOf = (scope: number): string => scopes().find(([, each]) => each === scope)?.[0] ?? String(scope);
