import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { CONNECTION_ID_BYTES } from "./datagram-shape.ts";
import { TokenBucket } from "./token-bucket.ts";

const TOKEN_BYTES = 16;
/** RFC 9000 section 10.3: 5 unpredictable bytes and the token; it must also be shorter than what it answers. */
const MIN_RESET_BYTES = 5 + TOKEN_BYTES;
const MAX_RESET_BYTES = 42;
const LONG_HEADER = 0x80;
/** Enough for every peer of a restarted gateway, too little to be of use to a flood. */
const RATE = { perSecond: 500, burst: 2000 };

/**
 * Stateless resets (RFC 9000 section 10.3): after a restart, peers of connections that this process knows nothing of hear so at once instead of
 * waiting out their idle timeout. The tokens follow from a secret that survives the restart; each connection id has its own.
 */
export class StatelessResets {
  // Not the bytes: of those a key would be made for each token, which takes four times as long as the token.
  readonly #key: KeyObject;
  readonly #bucket: TokenBucket;

  /** @param secret known to every start of this listener, and to nobody else @param now milliseconds, monotonic */
  constructor(secret: string | Uint8Array, now: number) {
    this.#key = createSecretKey(createHmac("sha256", secret).update("quaymesh stateless reset").digest());
    this.#bucket = new TokenBucket(RATE, now);
  }

  /** The token the peer is told in the handshake, as the 128-bit number the binding takes. */
  tokenOf(connectionId: Uint8Array): bigint {
    return BigInt(`0x${this.#token(connectionId).toString("hex")}`);
  }

  /** @returns the answer to a datagram of an unknown connection, or `undefined` where it gets none */
  answer(datagram: Buffer, now: number): Buffer | undefined {
    const first = datagram[0];
    if (first === undefined || (first & LONG_HEADER) !== 0) return undefined;
    const bytes = Math.min(MAX_RESET_BYTES, datagram.length - 1);
    if (bytes < MIN_RESET_BYTES || !this.#bucket.take(now)) return undefined;
    const packet = randomBytes(bytes);
    // Looks like any short header packet.
    packet.writeUInt8(0x40 | ((packet[0] ?? 0) & 0x3f), 0);
    packet.set(this.#token(datagram.subarray(1, 1 + CONNECTION_ID_BYTES)), bytes - TOKEN_BYTES);
    return packet;
  }

  #token(connectionId: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(connectionId).digest().subarray(0, TOKEN_BYTES);
  }
}
