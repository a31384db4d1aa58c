/** A certificate chain as one BLOB: each certificate as a u32 big-endian length and its DER. */
import { GatewayError } from "../../errors.ts";

/** One BLOB of `chain`. */
export function encodeChain(chain: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chain.reduce((sum, der) => sum + 4 + der.length, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const der of chain) {
    view.setUint32(at, der.length);
    out.set(der, at + 4);
    at += 4 + der.length;
  }
  return out;
}

/** @throws {GatewayError} `STORE_CORRUPT` */
export function decodeChain(bytes: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chain: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at) : Infinity;
    if (end > bytes.length) throw new GatewayError("STORE_CORRUPT", "a certificate chain is cut off");
    chain.push(bytes.slice(at + 4, end));
    at = end;
  }
  return chain;
}
