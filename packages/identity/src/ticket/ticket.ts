/**
 * The compact ticket. docs/wire.md, "Tickets"; docs/adr/0005-compact-ticket.md.
 *
 * | bytes | |
 * |---|---|
 * | 1 | version 1 in the upper four bits; flags in the lower: bit 0, a mesh id follows |
 * | 32 | SHA-256 of the root's SubjectPublicKeyInfo |
 * | 0 or 10 | mesh id, where it is not the first 10 bytes of that hash |
 * | 16 | secret |
 * | 4 | expiry, Unix seconds, big-endian |
 * | ... | addresses, one to eight |
 * | 2 | CRC-16/IBM-3740 of all that precedes, big-endian |
 */
import { concatBytes, timingSafeEqualBytes, toHex, utf8 } from "../bytes.ts";
import { fromBase32, toBase32 } from "../base32.ts";
import { isMeshId, MESH_ID_BYTES, meshIdOf } from "../authority/names.ts";
import { IdentityError } from "../errors.ts";
import { sha256 } from "../keys/key-pair.ts";
import { Secret } from "../secret.ts";
import { type TicketAddress, decodeAddresses, encodeAddresses } from "./addresses.ts";
import { crc16 } from "./crc16.ts";

/** What a ticket's text starts with. Upper case: a QR code stays in alphanumeric mode. */
export const TICKET_PREFIX = "QUAY:";
/** Length of a ticket's secret, in bytes. */
export const TICKET_SECRET_BYTES = 16;
/** Length of a code id, in bytes. */
const CODE_ID_BYTES = 8;
/** Longest ticket text that is looked at, white space not counted. */
const MAX_TICKET_LENGTH = 4096;

const VERSION = 1;
const FLAG_MESH_ID = 1;
const PIN_BYTES = 32;
const EXPIRY_BYTES = 4;
const CRC_BYTES = 2;
const MAX_EXPIRY_SECONDS = 0xffff_ffff;

/** What a QR code carries. */
export interface Ticket {
  readonly meshId: string;
  /** The pin: SHA-256 of the root's SubjectPublicKeyInfo, 32 bytes. */
  readonly rootSpkiSha256: Uint8Array;
  /** Where the pairing endpoint may be reached, best first. */
  readonly addresses: readonly TicketAddress[];
  /** 16 bytes. */
  readonly secret: Secret<Uint8Array>;
  /** Names the secret without giving it away, 8 bytes; see {@link codeIdOf}. */
  readonly codeId: Uint8Array;
  /** Unix milliseconds, whole seconds. */
  readonly expiresAt: number;
}

/**
 * The name of a secret: the first 8 bytes of SHA-256("quaymesh code id" || secret). Derived, so that it costs no space; 128 random bits cannot be
 * found from it.
 */
export function codeIdOf(secret: Secret<Uint8Array>): Uint8Array {
  return sha256(concatBytes(utf8("quaymesh code id"), secret.reveal())).slice(0, CODE_ID_BYTES);
}

/**
 * A ticket's text.
 * @throws {IdentityError} `VALUE_INVALID` for what a ticket cannot carry
 */
export function formatTicket(ticket: Omit<Ticket, "codeId">): string {
  return TICKET_PREFIX + toBase32(encodeTicket(ticket));
}

/**
 * Read a ticket as scanned, pasted or typed: any case, white space anywhere.
 * @param options.now Unix milliseconds
 * @throws {IdentityError} `TICKET_UNREADABLE`, `TICKET_MISTYPED`, `TICKET_VERSION`, `TICKET_EXPIRED`
 */
export function parseTicket(text: string, options: { readonly now: number }): Ticket {
  const compact = text.replaceAll(/\s+/gu, "").toUpperCase();
  if (compact.length > MAX_TICKET_LENGTH) throw unreadable("it is too long");
  if (compact.startsWith("QUAYNODE:"))
    throw unreadable("it is a code that a node shows, for  quaymesh pair  on the gateway");
  if (!compact.startsWith(TICKET_PREFIX)) throw unreadable(`it does not start with ${TICKET_PREFIX}`);
  const bytes = fromBase32(compact.slice(TICKET_PREFIX.length));
  if (bytes === undefined) throw unreadable("it has characters or a length that no ticket has");
  const ticket = decodeTicket(bytes);
  if (options.now >= ticket.expiresAt) {
    const [expiry, here] = [ticket.expiresAt, options.now].map((ms) => new Date(ms).toISOString());
    throw new IdentityError("TICKET_EXPIRED", `this ticket expired at ${expiry}, and this clock says ${here}`);
  }
  return ticket;
}

/** The bytes in a ticket's text. @throws {IdentityError} `VALUE_INVALID` */
export function encodeTicket(ticket: Omit<Ticket, "codeId">): Uint8Array {
  const secret = ticket.secret.reveal();
  const seconds = ticket.expiresAt / 1000;
  const valid =
    ticket.rootSpkiSha256.length === PIN_BYTES &&
    secret.length === TICKET_SECRET_BYTES &&
    Number.isInteger(seconds) &&
    seconds >= 0 &&
    seconds <= MAX_EXPIRY_SECONDS &&
    isMeshId(ticket.meshId);
  if (!valid)
    throw new IdentityError(
      "VALUE_INVALID",
      "a ticket has a mesh id, a 32-byte pin, a 16-byte secret and an expiry in whole seconds",
    );
  const derived = ticket.meshId === meshIdOf(ticket.rootSpkiSha256);
  const meshId = derived ? new Uint8Array() : (fromBase32(ticket.meshId.toUpperCase()) ?? new Uint8Array());
  const head = Uint8Array.of((VERSION << 4) | (derived ? 0 : FLAG_MESH_ID));
  const body = concatBytes(
    head,
    ticket.rootSpkiSha256,
    meshId,
    secret,
    uint32(seconds),
    encodeAddresses(ticket.addresses),
  );
  return concatBytes(body, uint16(crc16(body)));
}

/** Read {@link encodeTicket} back, expired or not. @throws {IdentityError} `TICKET_UNREADABLE`, `TICKET_MISTYPED`, `TICKET_VERSION` */
function decodeTicket(bytes: Uint8Array): Ticket {
  const body = bytes.subarray(0, Math.max(0, bytes.length - CRC_BYTES));
  // The checksum comes first, in every version: a slip of the finger is not to be called another version.
  if (body.length === 0 || !timingSafeEqualBytes(uint16(crc16(body)), bytes.subarray(body.length))) {
    throw new IdentityError("TICKET_MISTYPED", "this ticket has a wrong or missing character");
  }
  const head = body[0] ?? 0;
  if (head >> 4 !== VERSION || (head & 0x0f & ~FLAG_MESH_ID) !== 0) {
    throw new IdentityError(
      "TICKET_VERSION",
      `this ticket is of version ${head >> 4}; this program reads version ${VERSION}`,
    );
  }
  const read = reader(body, 1);
  const rootSpkiSha256 = read(PIN_BYTES);
  const derivedId = meshIdOf(rootSpkiSha256);
  const meshId = (head & FLAG_MESH_ID) === 0 ? derivedId : toBase32(read(MESH_ID_BYTES)).toLowerCase();
  if ((head & FLAG_MESH_ID) !== 0 && meshId === derivedId)
    throw unreadable("it spells out a mesh id that its pin gives");
  const secret = new Secret(read(TICKET_SECRET_BYTES));
  const expiresAt = Number.parseInt(toHex(read(EXPIRY_BYTES)), 16) * 1000;
  const addresses = decodeAddresses(read());
  if (addresses === undefined) throw unreadable("its addresses cannot be read");
  return { meshId, rootSpkiSha256, secret, codeId: codeIdOf(secret), expiresAt, addresses };
}

/** Takes bytes off the front; without a length, the rest. */
function reader(bytes: Uint8Array, start: number): (length?: number) => Uint8Array {
  let at = start;
  return (length = bytes.length - at) => {
    if (bytes.length - at < length) throw unreadable("it is too short");
    at += length;
    return bytes.slice(at - length, at);
  };
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

function uint32(value: number): Uint8Array {
  return concatBytes(uint16(Math.floor(value / 0x1_0000)), uint16(value % 0x1_0000));
}

function unreadable(why: string): IdentityError {
  return new IdentityError("TICKET_UNREADABLE", `this is not a ticket that can be read: ${why}`);
}
