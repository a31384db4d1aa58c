import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** How long a client has to come back with its token. */
export const RETRY_TOKEN_LIFE_MS = 10_000;

const MAC_BYTES = 16;
const TIME_BYTES = 6;
const MIN_TOKEN_BYTES = MAC_BYTES + TIME_BYTES;

/** What a token is bound to, besides what it carries. */
export interface TokenBinding {
  readonly address: string;
  readonly port: number;
  /** The connection id we asked the client to use: its next destination id. */
  readonly retryId: Uint8Array;
}

/**
 * Makes and checks Retry tokens (RFC 9000 section 8.1). A token carries its time of issue and the client's first destination id, and is sealed
 * over those, the client's IP and port and our connection id with a key that never leaves this object.
 */
export class RetryTokens {
  readonly #key = randomBytes(32);

  /** @param now milliseconds, any monotonic clock */
  issue(originalDcid: Uint8Array, binding: TokenBinding, now: number): Buffer {
    const body = Buffer.alloc(TIME_BYTES + originalDcid.length);
    body.writeUIntBE(Math.floor(now), 0, TIME_BYTES);
    body.set(originalDcid, TIME_BYTES);
    return Buffer.concat([this.#mac(body, binding), body]);
  }

  /** @returns the client's first destination id, or `undefined` for a token that is not ours, not this client's, or too old */
  open(token: Uint8Array, binding: TokenBinding, now: number): Buffer | undefined {
    if (token.length < MIN_TOKEN_BYTES) return undefined;
    const bytes = Buffer.from(token);
    const body = bytes.subarray(MAC_BYTES);
    if (!timingSafeEqual(bytes.subarray(0, MAC_BYTES), this.#mac(body, binding))) return undefined;
    const age = now - body.readUIntBE(0, TIME_BYTES);
    return age <= RETRY_TOKEN_LIFE_MS ? body.subarray(TIME_BYTES) : undefined;
  }

  #mac(body: Uint8Array, binding: TokenBinding): Buffer {
    const hmac = createHmac("sha256", this.#key);
    // The body is last and everything before it has a fixed or delimited length, so no two bindings give the same input.
    hmac.update(`${binding.address} ${binding.port} ${binding.retryId.length} `);
    return hmac.update(binding.retryId).update(body).digest().subarray(0, MAC_BYTES);
  }
}
