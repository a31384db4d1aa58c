import type { CloseInfo } from "@quaymesh/protocol";
import type { Link, LinkOwner } from "./link.ts";

/**
 * What is read of a client before its TLS is complete: the longest chain a device may have, sent several times over. quiche keeps handshake data that has a gap in front of it
 * without a bound of its own, and a stranger can leave as many gaps as it likes.
 */
export const MAX_HANDSHAKE_BYTES = 128 << 10;

/** Who is told how a handshake ended. */
export interface HandshakeOutcome {
  established(link: Link): void;
  failed(link: Link, reason: "handshake" | "timeout"): void;
}

/** Owns a link until TLS is complete. */
export class ServerHandshake implements LinkOwner {
  readonly #link: () => Link;
  readonly #outcome: HandshakeOutcome;
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
    this.#fail(info.kind === "idle" ? "timeout" : "handshake");
  }

  #fail(reason: "handshake" | "timeout"): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outcome.failed(this.#link(), reason);
  }
}
