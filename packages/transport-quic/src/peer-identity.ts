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
    return new TlsPeer(native, new Uint8Array(hash("sha256", subjectPublicKeyInfo(leaf), "buffer")));
  } catch {
    return undefined;
  }
}

/** What the peer showed stays where it is: TLS holds the chain of every connection anyway, and nobody asks for it once the peer is judged. */
class TlsPeer implements PeerIdentity {
  readonly #native: NativeConnection;
  readonly spkiSha256: Uint8Array;

  constructor(native: NativeConnection, spkiSha256: Uint8Array) {
    this.#native = native;
    this.spkiSha256 = spkiSha256;
  }

  get chain(): readonly Uint8Array[] {
    return this.#native.peerCertChain() ?? [];
  }
}
