import { X509Certificate, createHash } from "node:crypto";
import type { PeerIdentity } from "@quaymesh/protocol";
import type { NativeConnection } from "./binding.ts";

/**
 * Read what the peer showed inside TLS.
 * @returns `undefined` where it showed no certificate, or one that cannot be read
 */
export function readPeerIdentity(native: NativeConnection): PeerIdentity | undefined {
  const chain = native.peerCertChain();
  const leaf = chain?.[0];
  if (chain === null || leaf === undefined) return undefined;
  try {
    const spki = new X509Certificate(leaf).publicKey.export({ type: "spki", format: "der" });
    return { chain, spkiSha256: new Uint8Array(createHash("sha256").update(spki).digest()) };
  } catch {
    return undefined;
  }
}
