import { hash } from "node:crypto";
import { type DeviceLeaf, readDeviceLeaf } from "./read-leaf.ts";

/** Leaves that are remembered, about 500 bytes each. */
const MAX_LEAVES = 16_384;

/**
 * Reads leaves and remembers what they say: one is asked for twice in a handshake, and again by every reconnect, and reading it is most of what a lookup costs.
 * What is remembered follows from the certificate's bytes alone; whether it is trusted is decided anew each time.
 */
export class LeafCache {
  readonly #leaves = new Map<string, DeviceLeaf>();
  readonly #maxLeaves: number;

  constructor(maxLeaves: number = MAX_LEAVES) {
    this.#maxLeaves = maxLeaves;
  }

  /** As {@link readDeviceLeaf}. What is not a device's is not remembered. */
  read(der: Uint8Array): DeviceLeaf | string {
    const digest = hash("sha256", der, "base64");
    const known = this.#leaves.get(digest);
    if (known !== undefined) return known;
    const leaf = readDeviceLeaf(der);
    if (typeof leaf === "string") return leaf;
    const [oldest] = this.#leaves.keys();
    if (this.#leaves.size >= this.#maxLeaves && oldest !== undefined) this.#leaves.delete(oldest);
    this.#leaves.set(digest, leaf);
    return leaf;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#leaves.size;
  }
}
