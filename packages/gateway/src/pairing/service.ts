import type { Secret } from "@quaymesh/identity";

/** Where a pairing request is. `pending`, `approved` and `issued` are its live states. */
export type RequestState = "pending" | "approved" | "issued" | "active" | "denied" | "expired";

/** The device whose key it is that somebody came with. */
export interface KeyHolder {
  readonly deviceId: string;
  readonly name: string;
  /** `frozen`: an approval lets it back in. `revoked`: it is refused, and with this key always will be. */
  readonly state: "paired" | "frozen" | "revoked";
}

/** A device that proved it knows a window's code. Times in Unix milliseconds. */
export interface RequestView {
  readonly requestId: string;
  readonly windowId: string;
  readonly state: RequestState;
  readonly name: string;
  readonly platform: string;
  /** `host:port`. */
  readonly remoteAddress: string;
  /** Four words that both screens must show. */
  readonly words: readonly string[];
  readonly requestedAt: number;
  /** Set from `issued` on. */
  readonly deviceId: string | undefined;
  readonly certificateNotAfter: number | undefined;
  /** Nobody is or was asked: its window was pre-approved. */
  readonly preapproved: boolean;
  /** Whose key this was when it asked: approved, it is that device again. Absent for a key that is new. */
  readonly holder?: KeyHolder;
}

/** A change in a window, as an operator follows it. */
export interface WindowUpdate {
  readonly state: RequestState | "open" | "claimed" | "burnt" | "expired" | "closed" | "attempt-failed" | "used";
  /** Set from `pending` on. */
  readonly request: RequestView | undefined;
  /** `host:port` of who is there; empty before anyone came. */
  readonly remoteAddress: string;
  /** Why, where something failed: `PAIR_CODE_INVALID` and the like; else empty. */
  readonly reason: string;
  /** Whose key was refused, with `DEVICE_REVOKED`. */
  readonly holder?: KeyHolder;
}

/** What {@link PairingService.open} takes. */
export interface OpenWindow {
  /** The operator's name for the device; empty takes the device's own. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  /**
   * Id, unique prefix or name of a device that is to be paired again, with the key it has or with another: it stays the same device, and what the name, the labels and the purpose do not say
   * stays as it was.
   */
  readonly device?: string;
  /** Default: the limit's. */
  readonly ttlMs?: number;
  /** What opens it. `both`: a ticket and a PIN, or a ticket alone while another window has the PIN. `node`: the code that a node shows, in `nodeCode`. */
  readonly code: "ticket" | "pin" | "both" | "node";
  /** `QUAYNODE:…`, with `code: "node"`. */
  readonly nodeCode?: string;
  /** Let in whoever proves the code, unasked. Such a window outlives the gateway's process, and it has no PIN: eight digits can be guessed. */
  readonly preapproved?: boolean;
  /** Devices to let in. Default 1; more than one only where pre-approved. */
  readonly uses?: number;
}

/** A window as opened. Only here its codes can be read. */
export interface OpenedWindow {
  readonly windowId: string;
  readonly link: Secret<string> | undefined;
  readonly pin: Secret<string> | undefined;
  /** Unix milliseconds. */
  readonly expiresAt: number;
  /** Where the pairing endpoint listens, host:port. */
  readonly addresses: readonly string[];
}

/** An open window, as a list shows it. Times in Unix milliseconds. */
export interface WindowView {
  readonly windowId: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  /** The device that is to be paired again. */
  readonly deviceId: string | undefined;
  readonly openedAt: number;
  readonly expiresAt: number;
  /** Those that are not burnt. */
  readonly codes: readonly ("ticket" | "pin" | "node")[];
  readonly preapproved: boolean;
  readonly uses: number;
  readonly usesLeft: number;
}

/** Pairing windows and the requests that come in through them. Nobody is let in without {@link PairingService.approve}, but through a window that was opened as pre-approved. */
export interface PairingService {
  /** Whether a window is open. */
  readonly isOpen: boolean;
  /** @throws {GatewayError} `WINDOW_LIMIT`, `WINDOW_INVALID`, `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED`, `PAIRING_PORT_IN_USE`, `PAIRING_UNAVAILABLE`, `GATEWAY_DRAINING` */
  open(options: OpenWindow): Promise<OpenedWindow>;
  /** Every change from the window's beginning, until it has ended and its request with it. @throws {GatewayError} `WINDOW_NOT_FOUND` */
  watch(windowId: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<WindowUpdate>;
  /** Who is in the window gets PAIR_CLOSED. @throws {GatewayError} `WINDOW_NOT_FOUND` */
  close(windowId: string): Promise<void>;
  /** Those that are open, newest first. */
  windows(): Promise<readonly WindowView[]>;
  /** Newest first. */
  requests(): Promise<readonly RequestView[]>;
  /** @throws {GatewayError} `REQUEST_NOT_FOUND`, `REQUEST_NOT_PENDING`; `DEVICE_KEY_KNOWN` where the window is for another device than the one that has this key; `DEVICE_REVOKED` where that one was revoked meanwhile; `STORE_*` */
  approve(requestId: string): Promise<RequestView>;
  /** @throws {GatewayError} `REQUEST_NOT_FOUND`, `REQUEST_NOT_PENDING` */
  deny(requestId: string): Promise<RequestView>;
}
