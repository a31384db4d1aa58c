import type { SocketAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { formatAddress } from "../state/address.ts";
import type { LinkFailure } from "./failure.ts";

/** Whoever gives more wants a node to knock at many doors. */
const MAX_HINTS = 8;
/** A search asks a whole network. */
const SEARCH_EVERY_MS = 60_000;

/** Finds where the mesh endpoint of a mesh might be. Rejections count as none. */
export type FindMesh = (meshId: string, signal: AbortSignal) => Promise<readonly SocketAddress[]>;

/**
 * Where else a gateway might be, by hints that anybody can give. Dialed after the addresses that are known, and held to the same root: what such a dial fails with is nobody's word, and must neither stop a node nor scare it.
 */
export class Hints {
  readonly #find: FindMesh | undefined;
  readonly #clock: Clock;
  #addresses: readonly SocketAddress[] = [];
  #searchedAt = -Infinity;

  constructor(find: FindMesh | undefined, clock: Clock) {
    this.#find = find;
    this.#clock = clock;
  }

  get addresses(): readonly SocketAddress[] {
    return this.#addresses;
  }

  /** Every address was dialed in vain: look again, once in a while. */
  async search(meshId: string, known: readonly SocketAddress[], signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#find === undefined || now - this.#searchedAt < SEARCH_EVERY_MS) return;
    this.#searchedAt = now;
    const found = await this.#find(meshId, signal).catch(() => []);
    const old = new Set(known.map(formatAddress));
    this.#addresses = found.filter((address) => !old.has(formatAddress(address))).slice(0, MAX_HINTS);
  }

  /** What a dial at a hint came to, where no gateway of ours was there to say so: anybody may have answered. */
  failure(address: SocketAddress, cause: unknown): LinkFailure {
    const where = formatAddress(address);
    const message = `nothing of this mesh answers at ${where}, where a hint led`;
    return {
      verdict: "other",
      error: new NodeError("GATEWAY_UNREACHABLE", message, { cause, details: { address: where } }),
    };
  }
}
