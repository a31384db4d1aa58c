import { hash } from "node:crypto";
import type { PeerIdentity } from "@quaymesh/protocol";
import type { NativeConnection } from "./binding.ts";
import { subjectPublicKeyInfo } from "./spki.ts";

/**
 * Read what the peer showed inside TLS.
 * @returns `undefined` where it showed no certificate, or one that cannot be read
 */
export function readPeerIdentity(native: NativeConnection): PeerIdentity | undefined {
  const chain = native.peerCertChain();
  const leaf = chain?.[0];
  if (chain === null || leaf === undefined) return undefined;
  try {
    return { chain, spkiSha256: new Uint8Array(hash("sha256", subjectPublicKeyInfo(leaf), "buffer")) };
  } catch {
    return undefined;
  }
}
