/** What the client tells of pairing. Times in Unix milliseconds. */
/** Where a pairing is. */
export type PairingStateName =
  | "open"
  | "claimed"
  | "pending"
  | "approved"
  | "issued"
  | "active"
  | "denied"
  | "expired"
  | "burnt"
  | "closed"
  | "attempt-failed"
  | "used";

/** The device whose key it is that somebody came with. */
export interface KeyHolderInfo {
  readonly deviceId: string;
  readonly name: string;
  /** `frozen`: an approval lets it back in. `revoked`: it is refused, and with this key always will be. */
  readonly state: "paired" | "frozen" | "revoked";
}

/** A device that proved it knows the code. */
export interface PairingRequestInfo {
  readonly requestId: string;
  readonly windowId: string;
  readonly state: PairingStateName;
  readonly name: string;
  readonly platform: string;
  /** Where it asks from, host:port. */
  readonly remoteAddress: string;
  /** Four words that both screens must show. */
  readonly words: readonly string[];
  readonly requestedAt: number | undefined;
  /** Empty before `issued`. */
  readonly deviceId: string;
  readonly certificateNotAfter: number | undefined;
  /** Nobody is or was asked: its window was pre-approved. */
  readonly preapproved: boolean;
  /** Whose key this was when it asked: approved, it is that device again. `undefined` for a key that is new. */
  readonly holder: KeyHolderInfo | undefined;
}

/** A change in a pairing window. */
export interface WindowUpdate {
  readonly state: PairingStateName;
  /** The request it is about, from `pending` on. */
  readonly request: PairingRequestInfo | undefined;
  readonly remoteAddress: string;
  /** Why, where something failed, such as `PAIR_CODE_INVALID`; else empty. */
  readonly reason: string;
  /** Whose key was refused, with `DEVICE_REVOKED`. */
  readonly holder: KeyHolderInfo | undefined;
}

/** An open pairing window. The secret in `link` or `pin` is nowhere else. */
export interface PairingWindow {
  readonly windowId: string;
  /** `QUAY:…`; empty with a PIN alone and with a node's code. */
  readonly link: string;
  /** 8 digits; empty without one. */
  readonly pin: string;
  readonly expiresAt: number | undefined;
  /** Where the pairing endpoint listens, host:port. */
  readonly addresses: readonly string[];
}

/** An open window, as a list shows it. Its codes are kinds: what they say was in the answer that opened it and nowhere else. */
export interface PairingWindowInfo {
  readonly windowId: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  /** The device that is to be paired again; empty for a new one. */
  readonly deviceId: string;
  readonly openedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** `ticket`, `pin`, `node`: those that are not burnt. */
  readonly codes: readonly string[];
  readonly preapproved: boolean;
  readonly uses: number;
  readonly usesLeft: number;
}
