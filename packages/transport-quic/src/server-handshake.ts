import { QUIC_ERRORS, dialVerdict } from "@quaymesh/protocol";
import type { CloseInfo, ListenerRefusal } from "@quaymesh/protocol";
import type { HostPort, NativeConnection } from "./binding.ts";
import type { Handshake } from "./half-open.ts";
import type { Link } from "./link.ts";
import type { LinkOwner } from "./link-ports.ts";

/**
 * What is read of a client before its TLS is complete: the longest chain a device may have, sent several times over. quiche keeps handshake data that has a gap in front of it
 * without a bound of its own, and a stranger can leave as many gaps as it likes.
 */
export const MAX_HANDSHAKE_BYTES = 128 << 10;

/** Why a handshake came to nothing. */
export type HandshakeFailure = Extract<
  ListenerRefusal,
  "handshake" | "timeout" | "displaced" | "wrong-protocol" | "untrusted" | "expired" | "denied"
>;

/**
 * What quiche and TLS hold for a handshake under way, measured: 28 KB. The engine does not see it behind the small object it collects, and without being told it collects far too late: at 1000
 * handshakes a second a gateway grew by 27 MB each second.
 */
const NATIVE_BYTES = 32 << 10;

/** RFC 9001 section 4.8. Below it: errors of QUIC itself. */
const FIRST_CRYPTO_ERROR = 0x100;

/** Who is told how a handshake ended. */
export interface HandshakeOutcome {
  established(link: Link): void;
  /** @param close how it ended, where anybody said so */
  failed(link: Link, reason: HandshakeFailure, close?: CloseInfo): void;
}

/** Owns a link until TLS is complete. */
export class ServerHandshake implements LinkOwner, Handshake {
  readonly #link: () => Link;
  readonly #outcome: HandshakeOutcome;
  /** Memory that the engine does see; never touched, and let go with this handshake. */
  readonly weight = Buffer.allocUnsafeSlow(NATIVE_BYTES);
  #isOver = false;

  constructor(link: () => Link, outcome: HandshakeOutcome) {
    this.#link = link;
    this.#outcome = outcome;
  }

  process(): void {
    const link = this.#link();
    if (!link.native.isEstablished()) return;
    this.#isOver = true;
    link.lingers = true;
    link.hearsAtMost(Infinity);
    link.expireAt(Infinity);
    this.#outcome.established(link);
  }

  uncork(): void {
    // Nothing is written before the peer is judged.
  }

  flushed(): boolean {
    return false;
  }

  expired(): void {
    this.#fail("timeout");
    // Not a word: the address may be forged.
    this.#link().abandon({ kind: "idle" });
  }

  ended(info: CloseInfo): void {
    this.#fail(failureOf(info), info);
  }

  /** Others wait for its place. quiche sends no more than three times what came from an address that is not proved. */
  displace(): void {
    this.#fail("displaced");
    const code = QUIC_ERRORS.connectionRefused;
    const info: CloseInfo = { kind: "transport", code, reason: "busy", byPeer: false };
    this.#link().close(false, code, Buffer.from(info.reason), info);
  }

  #fail(reason: HandshakeFailure, close?: CloseInfo): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outcome.failed(this.#link(), reason, close);
  }
}

// What TLS said of the client. What the client said of us is a failed handshake like others.
const failureOf = (info: CloseInfo): HandshakeFailure => {
  if (info.kind === "idle") return "timeout";
  if (info.kind !== "transport" || info.byPeer) return "handshake";
  const verdict = dialVerdict(info);
  switch (verdict) {
    case "wrong-protocol":
    case "untrusted":
    case "expired":
    case "denied":
      return verdict;
    default:
      return "handshake";
  }
};

/**
 * Hear a client's first datagram. Noise in the shape of an Initial never gets a place, not even for a turn. A client whose TLS failed does: it is told why.
 * @returns whether it gets one
 */
export function startsWell(
  native: NativeConnection,
  datagram: Uint8Array,
  info: { readonly from: HostPort; readonly to: HostPort },
): boolean {
  try {
    native.recv(datagram, info);
    return true;
  } catch {
    return (native.localError()?.errorCode ?? 0) >= FIRST_CRYPTO_ERROR;
  }
}
