import type { Checkpoint } from "@quaymesh/protocol";

/** Whether this store is the newest of its line. Part of the Store port. */
export interface LineageStore {
  /** Where the store is now, as nodes are told; undefined where it does not know of itself. */
  checkpoint(): Promise<Checkpoint | undefined>;
  /** What nodes have shown that this store lacks; undefined where nothing is, or its loss was accepted. */
  behind(): Promise<Behind | undefined>;
}

/** How a store is known to be older than one that nodes have seen. */
export interface Behind {
  /** Who showed it first. */
  readonly device: string;
  /** When that was, Unix milliseconds. */
  readonly at: number;
  /** How far this store had come then. */
  readonly here: { readonly revocationEpoch: number; readonly offset: number };
  /** The furthest that was shown. */
  readonly seen: { readonly era: number; readonly revocationEpoch: number; readonly offset: number };
  /** Devices known to have been revoked since. */
  readonly revoked: readonly string[];
}
