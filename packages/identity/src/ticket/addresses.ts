/**
 * Addresses in a ticket, one after the other. A kind byte says what follows; a port is two bytes, big-endian.
 *
 * | kind | follows |
 * |---|---|
 * | 0x04 | IPv4 address, port |
 * | 0x06 | IPv6 address, port |
 * | 0x01 | length (1 to 253), ASCII host name in lower case, port |
 * | + 0x10 | the same without the port: it is that of the address before |
 *
 * Where two forms could say the same, the shorter one is the only one accepted.
 */
import { isIPv4, SocketAddress } from "node:net";
import type { SocketAddress as Address } from "@quaymesh/protocol";
import { concatBytes, utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { ipBytes } from "../ip.ts";

/** Where a pairing endpoint may be reached. `host` is an IP address in its usual spelling or a host name, `port` 1 to 65535. */
export type TicketAddress = Address;

/** Most addresses in one ticket. */
const MAX_TICKET_ADDRESSES = 8;

const NAME = 0x01;
const IPV4 = 0x04;
const IPV6 = 0x06;
const SAME_PORT = 0x10;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** @throws {IdentityError} `VALUE_INVALID` for no or too many addresses, a bad host or a bad port */
export function encodeAddresses(addresses: readonly TicketAddress[]): Uint8Array {
  if (addresses.length === 0 || addresses.length > MAX_TICKET_ADDRESSES) {
    throw new IdentityError("VALUE_INVALID", `a ticket has 1 to ${MAX_TICKET_ADDRESSES} addresses`);
  }
  const parts = addresses.map(({ host, port }, at) => {
    if (!Number.isInteger(port) || port < 1 || port > 0xffff)
      throw new IdentityError("VALUE_INVALID", `${port} is no port`);
    const same = addresses[at - 1]?.port === port;
    const { kind, bytes } = encodeHost(host);
    return concatBytes(
      Uint8Array.of(kind | (same ? SAME_PORT : 0)),
      bytes,
      same ? new Uint8Array() : Uint8Array.of(port >>> 8, port & 0xff),
    );
  });
  return concatBytes(...parts);
}

/** `undefined` when the bytes are not what {@link encodeAddresses} writes. */
export function decodeAddresses(bytes: Uint8Array): TicketAddress[] | undefined {
  const addresses: TicketAddress[] = [];
  let at = 0;
  while (at < bytes.length) {
    const head = bytes[at++] ?? 0;
    const kind = head & ~SAME_PORT;
    const length = kind === IPV4 ? 4 : kind === IPV6 ? 16 : kind === NAME ? (bytes[at++] ?? 0) : 0;
    // A name that claims more than there is would be read as what is there: one ticket, many spellings.
    if (at + length > bytes.length) return undefined;
    const host = decodeHost(kind, bytes.subarray(at, at + length));
    at += length;
    const previous = addresses.at(-1)?.port;
    const same = (head & SAME_PORT) !== 0;
    const port = same ? previous : readPort(bytes, at);
    if (!same) at += 2;
    if (host === undefined || port === undefined || (!same && port === previous)) return undefined;
    addresses.push({ host, port });
  }
  return addresses.length === 0 || addresses.length > MAX_TICKET_ADDRESSES ? undefined : addresses;
}

function readPort(bytes: Uint8Array, at: number): number | undefined {
  if (at + 2 > bytes.length) return undefined;
  const port = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return port === 0 ? undefined : port;
}

function encodeHost(host: string): { kind: number; bytes: Uint8Array } {
  // A zone names an interface of this machine and means nothing on another.
  const address = host.includes("%") ? undefined : ipBytes(host);
  if (address !== undefined) return { kind: address.length === 4 ? IPV4 : IPV6, bytes: address };
  const name = host.toLowerCase();
  if (HOST_NAME.test(name)) return { kind: NAME, bytes: concatBytes(Uint8Array.of(name.length), utf8(name)) };
  throw new IdentityError("VALUE_INVALID", `${JSON.stringify(host)} is neither an IP address nor a host name`);
}

function decodeHost(kind: number, bytes: Uint8Array): string | undefined {
  if (kind === IPV4) return bytes.length === 4 ? bytes.join(".") : undefined;
  if (kind === IPV6) return bytes.length === 16 ? ipv6Text(bytes) : undefined;
  if (kind !== NAME || bytes.length === 0) return undefined;
  const name = String.fromCharCode(...bytes);
  return HOST_NAME.test(name) && !isIPv4(name) ? name : undefined;
}

/** The usual spelling, RFC 5952, as the system writes it. */
function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address;
}
