import { randomBytes } from "node:crypto";
import { QUIC_ERRORS } from "@quaymesh/protocol";
import type { Binding, NativeHeader } from "./binding.ts";
import type { RefusalCounters } from "./counters.ts";
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

/** A client that may start TLS. */
export interface Admitted {
  /** Our connection id. */
  readonly scid: Uint8Array;
  /** The destination id its first datagrams carry. */
  readonly dcid: Uint8Array;
  /** Where a Retry came before: the destination id it began with. */
  readonly originalDcid: Uint8Array | undefined;
}

/** What admission decides on. */
export interface Load {
  readonly halfOpen: number;
  /** Connections held, draining ones counted. */
  readonly connections: number;
}

/** Options of {@link Admission}. */
export interface AdmissionOptions {
  readonly binding: Binding;
  readonly refused: RefusalCounters;
  readonly maxConnections: number;
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

  /** @param now milliseconds, monotonic */
  constructor(options: AdmissionOptions, now: number) {
    this.#options = options;
    this.#unvalidated = new TokenBucket(UNVALIDATED_RATE, now);
    this.#claimedBudget = new HandshakeBudget(options.handshakeBudget);
    this.#validatedBudget = new HandshakeBudget(options.handshakeBudget);
  }

  /** @param now milliseconds, monotonic @returns `undefined` where the client was refused (and answered, if it deserves one) */
  admit(datagram: Buffer, from: DatagramSource, load: Load, now: number): Admitted | undefined {
    const { refused } = this.#options;
    const header = this.#readInitial(datagram, from);
    if (header === undefined) return undefined;
    const token = header.token ?? new Uint8Array(0);
    const validated = token.length > 0 ? this.#openToken(token, header, from, now) : undefined;
    if (validated === undefined) {
      if (token.length > 0) return undefined;
      if (this.#mustValidate(load, now) || !this.#claimedBudget.spend(from.address, now)) {
        this.#sendRetry(header, from, now);
        return undefined;
      }
    } else if (!this.#validatedBudget.spend(from.address, now)) {
      refused.add("budget");
      return undefined;
    }
    if (load.connections >= this.#options.maxConnections) {
      refused.add("busy");
      this.#close(header, from, QUIC_ERRORS.connectionRefused, "busy");
      return undefined;
    }
    // After a Retry the client already uses an id of ours.
    if (validated !== undefined) return { scid: header.dcid, dcid: header.dcid, originalDcid: validated };
    return { scid: randomBytes(CONNECTION_ID_BYTES), dcid: header.dcid, originalDcid: undefined };
  }

  #mustValidate(load: Load, now: number): boolean {
    if (this.#options.retry === "always" || load.halfOpen >= RETRY_ABOVE_HALF_OPEN) return true;
    return !this.#unvalidated.take(now);
  }

  #readInitial(datagram: Buffer, from: DatagramSource): NativeHeader | undefined {
    const { binding, refused, reply } = this.#options;
    const shape = shapeOf(datagram);
    switch (shape.kind) {
      case "junk":
        refused.add("shape");
        return undefined;
      case "other-version":
        refused.add("version");
        reply(versionNegotiation(shape.dcid, shape.scid), from);
        return undefined;
      case "initial":
        try {
          return binding.Header.fromSlice(datagram, CONNECTION_ID_BYTES);
        } catch {
          refused.add("shape");
          return undefined;
        }
    }
    return shape satisfies never;
  }

  #openToken(token: Uint8Array, header: NativeHeader, from: DatagramSource, now: number): Uint8Array | undefined {
    const binding = { address: from.address, port: from.port, retryId: header.dcid };
    const originalDcid = this.#tokens.open(token, binding, now);
    if (originalDcid !== undefined) return originalDcid;
    this.#options.refused.add("token");
    // A client accepts one Retry only, so it must hear that this one failed (RFC 9000 section 8.1.2).
    this.#close(header, from, INVALID_TOKEN, "invalid token");
    return undefined;
  }

  #sendRetry(header: NativeHeader, from: DatagramSource, now: number): void {
    const { binding, refused, reply } = this.#options;
    refused.add("retry");
    const retryId = randomBytes(CONNECTION_ID_BYTES);
    const token = this.#tokens.issue(header.dcid, { address: from.address, port: from.port, retryId }, now);
    const packet = Buffer.allocUnsafeSlow(RETRY_PACKET_BYTES);
    const bytes = binding.retry(header.scid, header.dcid, retryId, token, QUIC_VERSION_1, packet);
    reply(packet.subarray(0, bytes), from);
  }

  #close(header: NativeHeader, from: DatagramSource, code: number, reason: string): void {
    this.#options.reply(statelessClose(header.dcid, header.scid, code, reason), from);
  }
}
