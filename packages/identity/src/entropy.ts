/** What the shells of the pairing machines need from this machine: chance, and a source to count by. */
import { randomBytes, randomUUID } from "node:crypto";
import { toHex } from "./bytes.ts";
import { ipBytes } from "./ip.ts";
import type { AttemptEntropy } from "./pairing/gateway/port.ts";

/** Fresh chance for one attempt on a gateway. */
export function drawAttemptEntropy(): AttemptEntropy {
  return { nonce: bytes(16), scalar: bytes(32), decoy: bytes(16), requestId: randomUUID() };
}

/** Fresh chance for one attempt of a node. */
export function drawNodeEntropy(): { readonly nonce: Uint8Array; readonly scalar: Uint8Array } {
  return { nonce: bytes(16), scalar: bytes(32) };
}

/**
 * What budgets count a peer by: an IPv4 address, or the /64 of an IPv6 one (whoever has one address of it has all). An IPv4 address in IPv6 clothes
 * counts as what it is.
 */
export function sourcePrefix(host: string): string {
  const address = ipBytes(host);
  if (address === undefined) return host;
  if (address.length === 4) return address.join(".");
  const hex = toHex(address);
  if (hex.startsWith("00000000000000000000ffff")) return address.subarray(12).join(".");
  return `${hex.slice(0, 16)}/64`;
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
