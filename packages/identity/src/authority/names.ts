import { toBase32 } from "../base32.ts";
import { IdentityError } from "../errors.ts";

/** Bytes of a mesh id before encoding. */
export const MESH_ID_BYTES = 10;

const MESH_ID = /^[a-z2-7]{16}$/;
const DEVICE_ID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const DEVICE_URI = /^spiffe:\/\/([a-z2-7]{16})\/device\/([0-7][0-9A-HJKMNP-TV-Z]{25})$/;
const SERVER_NAME = /^(pair\.)?([a-z2-7]{16})\.quaymesh\.internal$/;
// Control characters, and what could turn text around on a terminal.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Longest mesh name, in UTF-16 units: with " issuing CA" it must fit a common name of 64 (RFC 5280, ub-common-name). */
const MAX_MESH_NAME = 48;

/**
 * The id of a mesh: the first 10 bytes of SHA-256 of its first root's SubjectPublicKeyInfo, base32, lower case. So who knows the pin knows the id.
 * It stays when a later root takes over.
 */
export function meshIdOf(rootSpkiSha256: Uint8Array): string {
  return toBase32(rootSpkiSha256.subarray(0, MESH_ID_BYTES)).toLowerCase();
}

/** Whether `text` has the form of a mesh id: 16 characters of lower-case base32. */
export function isMeshId(text: string): boolean {
  return MESH_ID.test(text);
}

/** Whether `text` is a ULID as device ids are. */
export function isDeviceId(text: string): boolean {
  return DEVICE_ID.test(text);
}

/** The DNS name in the mesh endpoint's certificate, and the TLS server name a node dials it with. */
export function meshServerName(meshId: string): string {
  return `${meshId}.quaymesh.internal`;
}

/** The same for the pairing endpoint. Another name: what leaks from its process cannot stand in for the mesh endpoint. */
export function pairingServerName(meshId: string): string {
  return `pair.${meshServerName(meshId)}`;
}

/** TLS server name for dialing a pairing endpoint whose mesh is not known yet (PIN). */
export const ANY_PAIRING_SERVER_NAME = "pair.quaymesh.internal";

/** Read {@link meshServerName} or {@link pairingServerName} back. */
export function parseServerName(
  name: string,
): { readonly kind: "mesh" | "pairing"; readonly meshId: string } | undefined {
  const match = SERVER_NAME.exec(name);
  if (match?.[2] === undefined) return undefined;
  return { kind: match[1] === undefined ? "mesh" : "pairing", meshId: match[2] };
}

/** The URI in a device's certificate. */
export function deviceUri(meshId: string, deviceId: string): string {
  return `spiffe://${meshId}/device/${deviceId}`;
}

/** Read {@link deviceUri} back; `undefined` for anything else. */
export function parseDeviceUri(uri: string): { readonly meshId: string; readonly deviceId: string } | undefined {
  const match = DEVICE_URI.exec(uri);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { meshId: match[1], deviceId: match[2] };
}

/** @throws {IdentityError} `VALUE_INVALID` unless 1 to 48 printable characters */
export function assertMeshName(name: string): void {
  if (name.length > 0 && name.length <= MAX_MESH_NAME && name.trim() === name && !UNPRINTABLE.test(name)) return;
  throw new IdentityError("VALUE_INVALID", `a mesh name is 1 to ${MAX_MESH_NAME} printable characters`);
}
