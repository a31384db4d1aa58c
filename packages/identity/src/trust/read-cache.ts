import { hash } from "node:crypto";

/**
 * Reads certificates and remembers what they say: one is asked for twice in a handshake, and again by every reconnect, and reading it is most of what judging it costs.
 * What is remembered follows from the certificate's bytes alone; whether it is trusted is decided anew each time.
 */
export class ReadCache<T extends object> {
  readonly #known = new Map<string, T>();
  readonly #readNew: (der: Uint8Array) => T | string;
  readonly #most: number;

  /**
   * @param read what it says; a sentence where it cannot be read, which is not remembered
   * @param most certificates that are remembered, the newest
   */
  constructor(read: (der: Uint8Array) => T | string, most: number) {
    this.#readNew = read;
    this.#most = most;
  }

  /** What a certificate in DER says; a sentence where it cannot be read. */
  read(der: Uint8Array): T | string {
    const digest = hash("sha256", der, "base64");
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const read = this.#readNew(der);
    if (typeof read === "string") return read;
    const [oldest] = this.#known.keys();
    if (this.#known.size >= this.#most && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(digest, read);
    return read;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#known.size;
  }
}
