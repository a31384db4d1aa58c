import { randomBytes } from "node:crypto";
import { QUIC_ERRORS } from "@quaymesh/protocol";
import type { ListenerRefusal } from "@quaymesh/protocol";
import type { Binding, NativeHeader } from "./binding.ts";
import { CONNECTION_ID_BYTES, QUIC_VERSION_1, shapeOf, versionNegotiation } from "./datagram-shape.ts";
import { HandshakeBudget } from "./handshake-budget.ts";
import { RetryTokens } from "./retry-token.ts";
import { statelessClose } from "./stateless-close.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { DatagramSource } from "./udp-socket.ts";

/** RFC 9000 section 20.1. */
const INVALID_TOKEN = 0x0b;
/** More half-open handshakes than this, and addresses are validated first. */
const RETRY_ABOVE_HALF_OPEN = 64;
/** Handshakes begun without address validation; past it every newcomer is validated, whatever is half open. */
const UNVALIDATED_RATE = { perSecond: 1000, burst: 2000 };
const RETRY_PACKET_BYTES = 256;
/** Refusals that are sealed and sent; sealing costs more than all that comes before it, so past this a flood hears nothing. */
const CLOSE_RATE = { perSecond: 2000, burst: 4000 };

/** A client that may start TLS. */
export interface Admitted {
  /** Our connection id. */
  readonly scid: Uint8Array;
  /** The destination id its first datagrams carry. */
  readonly dcid: Uint8Array;
  /** Where a Retry came before: the destination id it began with. */
  readonly originalDcid: Uint8Array | undefined;
}

/** The places a listener has. */
export interface Places {
  /** Handshakes under way. */
  readonly halfOpen: number;
  /**
   * Ask for one, which may cost another handshake its own.
   * @returns `granted`, or why there is none: too many handshakes are under way, or as many connections are held as may be
   */
  claim(from: {
    readonly host: string;
    readonly validated: boolean;
    readonly now: number;
  }): "granted" | "half-open" | "busy";
}

/** Options of {@link Admission}. */
export interface AdmissionOptions {
  readonly binding: Binding;
  /** @param attempt the destination id that the client began with, where it got as far as asking for a place */
  readonly refused: (reason: ListenerRefusal, from: DatagramSource, attempt?: Uint8Array) => void;
  readonly places: Places;
  readonly retry: "auto" | "always";
  readonly handshakeBudget: { readonly perSecond: number; readonly burst: number };
  /** Answer a stray datagram; nothing is remembered of it. */
  readonly reply: (packet: Uint8Array, to: DatagramSource) => void;
}

/**
 * Decides, before any TLS work, who may begin a handshake: shape, version, address, budget, room; in this order, cheapest
 * first, each refusal counted. No answer is longer than the datagram it answers.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #tokens = new RetryTokens();
  /** Two of them: whoever forges an address must not use up what its owner may do once it has proved it. */
  readonly #claimedBudget: HandshakeBudget;
  readonly #validatedBudget: HandshakeBudget;
  readonly #unvalidated: TokenBucket;
  readonly #closes: TokenBucket;

  /** @param now milliseconds, monotonic */
  constructor(options: AdmissionOptions, now: number) {
    this.#options = options;
    this.#unvalidated = new TokenBucket(UNVALIDATED_RATE, now);
    this.#closes = new TokenBucket(CLOSE_RATE, now);
    this.#claimedBudget = new HandshakeBudget(options.handshakeBudget);
    this.#validatedBudget = new HandshakeBudget(options.handshakeBudget);
  }

  /** @param now milliseconds, monotonic @returns `undefined` where the client was refused (and answered, if it deserves one) */
  admit(datagram: Buffer, from: DatagramSource, now: number): Admitted | undefined {
    const { refused, places } = this.#options;
    const header = this.#readInitial(datagram, from);
    if (header === undefined) return undefined;
    const token = header.token ?? new Uint8Array(0);
    const validated = token.length > 0 ? this.#openToken(token, header, from, now) : undefined;
    if (validated === undefined) {
      if (token.length > 0) return undefined;
      if (this.#mustValidate(now) || !this.#claimedBudget.spend(from.address, now)) {
        this.#sendRetry(header, from, now);
        return undefined;
      }
    } else if (!this.#validatedBudget.spend(from.address, now)) {
      refused("budget", from, validated);
      this.#close(header, from, QUIC_ERRORS.connectionRefused, "busy", now);
      return undefined;
    }
    const place = places.claim({ host: from.address, validated: validated !== undefined, now });
    if (place !== "granted") {
      refused(place, from, validated ?? header.dcid);
      // The client is told the same either way: there is no room now.
      this.#close(header, from, QUIC_ERRORS.connectionRefused, "busy", now);
      return undefined;
    }
    // After a Retry the client already uses an id of ours.
    if (validated !== undefined) return { scid: header.dcid, dcid: header.dcid, originalDcid: validated };
    return { scid: randomBytes(CONNECTION_ID_BYTES), dcid: header.dcid, originalDcid: undefined };
  }

  #mustValidate(now: number): boolean {
    const { retry, places } = this.#options;
    if (retry === "always" || places.halfOpen >= RETRY_ABOVE_HALF_OPEN) return true;
    return !this.#unvalidated.take(now);
  }

  #readInitial(datagram: Buffer, from: DatagramSource): NativeHeader | undefined {
    const { binding, refused, reply } = this.#options;
    const shape = shapeOf(datagram);
    switch (shape.kind) {
      case "junk":
        refused("shape", from);
        return undefined;
      case "other-version":
        refused("version", from);
        reply(versionNegotiation(shape.dcid, shape.scid), from);
        return undefined;
      case "initial":
        try {
          return binding.Header.fromSlice(datagram, CONNECTION_ID_BYTES);
        } catch {
          refused("shape", from);
          return undefined;
        }
    }
    return shape satisfies never;
  }

  #openToken(token: Uint8Array, header: NativeHeader, from: DatagramSource, now: number): Uint8Array | undefined {
    const binding = { address: from.address, port: from.port, retryId: header.dcid };
    const originalDcid = this.#tokens.open(token, binding, now);
    if (originalDcid !== undefined) return originalDcid;
    this.#options.refused("token", from);
    // A client accepts one Retry only, so it must hear that this one failed (RFC 9000 section 8.1.2).
    this.#close(header, from, INVALID_TOKEN, "invalid token", now);
    return undefined;
  }

  #sendRetry(header: NativeHeader, from: DatagramSource, now: number): void {
    const { binding, refused, reply } = this.#options;
    refused("retry", from);
    const retryId = randomBytes(CONNECTION_ID_BYTES);
    const token = this.#tokens.issue(header.dcid, { address: from.address, port: from.port, retryId }, now);
    const packet = Buffer.allocUnsafeSlow(RETRY_PACKET_BYTES);
    const bytes = binding.retry(header.scid, header.dcid, retryId, token, QUIC_VERSION_1, packet);
    reply(packet.subarray(0, bytes), from);
  }

  #close(header: NativeHeader, from: DatagramSource, code: number, reason: string, now: number): void {
    if (!this.#closes.take(now)) return;
    this.#options.reply(statelessClose(header.dcid, header.scid, code, reason), from);
  }
}
