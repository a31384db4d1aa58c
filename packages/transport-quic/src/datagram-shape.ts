import { randomBytes } from "node:crypto";

/** Our connection ids; a constant length, so that short headers can be routed. */
export const CONNECTION_ID_BYTES = 20;
/** RFC 9000 section 14.1. */
const MIN_INITIAL_BYTES = 1200;
/** RFC 9000 section 15. */
export const QUIC_VERSION_1 = 1;
/** RFC 9000 section 17.2: connection ids of version 1. */
const MAX_CONNECTION_ID_BYTES = 20;
/** RFC 9000 section 7.2: the first destination id a client picks. */
const MIN_CLIENT_DESTINATION_ID_BYTES = 8;
const LONG_HEADER = 0x80;
const FIXED_BIT = 0x40;

/** What a datagram of no known connection looks like from outside. */
export type DatagramShape =
  /** A client's first flight in version 1: worth reading. */
  | { readonly kind: "initial" }
  /** Another version: answer with ours. */
  | { readonly kind: "other-version"; readonly dcid: Buffer; readonly scid: Buffer }
  /** Nothing a client begins with. Not answered. */
  | { readonly kind: "junk" };

const JUNK: DatagramShape = { kind: "junk" };
const INITIAL: DatagramShape = { kind: "initial" };

/**
 * The destination connection id as a map key, for any header form.
 * @returns `undefined` where the datagram is too short to have one
 */
export function destinationIdOf(datagram: Buffer): string | undefined {
  const first = datagram[0];
  if (first === undefined) return undefined;
  if ((first & LONG_HEADER) === 0) {
    return datagram.length > CONNECTION_ID_BYTES ? datagram.toString("latin1", 1, 1 + CONNECTION_ID_BYTES) : undefined;
  }
  const length = datagram[5];
  if (length === undefined || length > MAX_CONNECTION_ID_BYTES || datagram.length < 6 + length) return undefined;
  return datagram.toString("latin1", 6, 6 + length);
}

/** Sort a stray datagram by RFC 8999's invariants alone; nothing is allocated for junk. */
export function shapeOf(datagram: Buffer): DatagramShape {
  const first = datagram[0];
  if (first === undefined || (first & LONG_HEADER) === 0 || datagram.length < MIN_INITIAL_BYTES) return JUNK;
  const version = datagram.readUInt32BE(1);
  const dcidBytes = datagram[5] ?? 0;
  const scidAt = 6 + dcidBytes;
  const scidBytes = datagram[scidAt];
  if (scidBytes === undefined || scidAt + 1 + scidBytes > datagram.length) return JUNK;
  if (version === QUIC_VERSION_1) {
    const isInitial = (first & FIXED_BIT) !== 0 && ((first >> 4) & 0b11) === 0;
    const idsFit =
      dcidBytes >= MIN_CLIENT_DESTINATION_ID_BYTES &&
      dcidBytes <= MAX_CONNECTION_ID_BYTES &&
      scidBytes <= MAX_CONNECTION_ID_BYTES;
    return isInitial && idsFit ? INITIAL : JUNK;
  }
  // Version 0 is a Version Negotiation packet; answering one could loop.
  if (version === 0) return JUNK;
  return {
    kind: "other-version",
    dcid: datagram.subarray(6, scidAt),
    scid: datagram.subarray(scidAt + 1, scidAt + 1 + scidBytes),
  };
}

/**
 * A Version Negotiation packet that offers version 1 (RFC 9000 section 17.2.1), besides a reserved version that keeps clients from assuming the list is fixed
 * (section 15).
 */
export function versionNegotiation(dcid: Uint8Array, scid: Uint8Array): Buffer {
  const [random = 0, reserved = 0] = randomBytes(2);
  const versions = Buffer.alloc(8);
  versions.writeUInt32BE(QUIC_VERSION_1, 0);
  versions.fill(0x0a | (reserved & 0xf0), 4);
  return Buffer.concat([
    Buffer.from([LONG_HEADER | FIXED_BIT | random, 0, 0, 0, 0, scid.length]),
    scid,
    Buffer.from([dcid.length]),
    dcid,
    versions,
  ]);
}
