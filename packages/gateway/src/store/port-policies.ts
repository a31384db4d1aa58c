/** Versions of the policy that says what nodes may read. Part of the Store port. */
export interface PolicyStore {
  /** The newest; undefined where none was ever set. */
  current(): Promise<PolicyRow | undefined>;
  /** Newest first. */
  history(input: { readonly limit: number }): Promise<readonly PolicyRow[]>;
  /**
   * Set the next version. Compare-and-set: it must follow `expected`, the newest version, 0 where there is none.
   * @throws {GatewayError} `POLICY_CHANGED` (`version`) where another came first
   */
  put(input: PutPolicy): Promise<PolicyRow>;
}

/** A policy as it was set. `body` is JSON of `gateway/src/policy`. */
export interface PolicyRow {
  readonly version: number;
  readonly body: string;
  readonly setBy: string;
  readonly setAt: number;
}

/** See {@link PolicyStore.put}. */
export interface PutPolicy {
  readonly expected: number;
  readonly body: string;
  readonly setBy: string;
  readonly now: number;
}
