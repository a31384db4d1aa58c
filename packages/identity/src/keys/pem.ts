import { IdentityError } from "../errors.ts";
import { PemConverter } from "./x509.ts";

/** Certificates as PEM, in the order given, each block ended by a line feed. */
export function certificatesToPem(chainDer: readonly Uint8Array[]): string {
  return chainDer.map((der) => `${PemConverter.encode(Uint8Array.from(der), "CERTIFICATE")}\n`).join("");
}

/**
 * The certificates of a PEM text, in order, DER.
 * @throws {IdentityError} `CHAIN_INVALID` when it holds no certificate, something else, or damaged base64
 */
export function certificatesFromPem(pem: string): Uint8Array[] {
  let blocks;
  try {
    blocks = PemConverter.decodeWithHeaders(pem);
  } catch (cause) {
    throw new IdentityError("CHAIN_INVALID", "not readable as PEM", { cause });
  }
  if (blocks.length === 0) throw new IdentityError("CHAIN_INVALID", "no certificate in this PEM text");
  return blocks.map((block) => {
    if (block.type !== "CERTIFICATE") throw new IdentityError("CHAIN_INVALID", `a ${block.type} among certificates`);
    return new Uint8Array(block.rawData);
  });
}
