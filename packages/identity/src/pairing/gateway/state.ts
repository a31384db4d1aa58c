/** What the gateway's pairing machine holds. Plain values; times are Unix milliseconds. */
import type { PairHello, PairIssued, PairProve } from "@quaymesh/protocol";
import type { Secret } from "../../secret.ts";
import type { PairingLimits } from "../limits.ts";
import { PAIRING_LIMITS } from "../limits.ts";
import type { PairingKeys } from "../transcript.ts";
import type { PairingWords } from "../words.ts";
import type { Budget, FailedAt } from "./budget.ts";
import { restoreBudget } from "./budget.ts";

/** What opens a window: the secret of a ticket, or a PIN. */
export type CodeSecret =
  | { readonly kind: "ticket"; readonly codeId: Uint8Array; readonly secret: Secret<Uint8Array> }
  | { readonly kind: "pin"; readonly pin: Secret<string> };

/** Who has a code. `proved`: a device has proved that it knows it, and only that device may come back with it. */
type CodeStatus =
  | { readonly kind: "open" }
  | { readonly kind: "claimed"; readonly attemptId: string }
  | { readonly kind: "proved"; readonly requestId: string };

/** A pairing window. */
export interface Code {
  readonly windowId: string;
  readonly secret: CodeSecret;
  readonly expiresAt: number;
  readonly failures: number;
  readonly status: CodeStatus;
}

/** A node on a pairing stream, as the shell sees it. */
export interface PairingPeer {
  /** Address prefix that budgets count by; see `sourcePrefix`. */
  readonly source: string;
  readonly nodeSpkiSha256: Uint8Array;
  readonly gatewaySpkiSha256: Uint8Array;
}

/** What every attempt keeps from its hello. */
interface AttemptBase {
  readonly attemptId: string;
  readonly peer: PairingPeer;
  readonly hello: PairHello;
  /** The window the code belongs to. Without: a code that is unknown, used or burnt; the run goes on all the same and fails like a wrong one. */
  readonly windowId: string | undefined;
  readonly keys: PairingKeys;
  /** The id a request of this attempt will have. */
  readonly requestId: string;
  readonly deadline: number;
}

/** What an attempt at a late renewal keeps. It has no window. */
interface RenewalBase {
  readonly attemptId: string;
  readonly peer: PairingPeer;
  readonly csr: Uint8Array;
  readonly windowId: undefined;
  readonly deadline: number;
}

/** One stream of the pairing endpoint. */
export type Attempt =
  /** Share sent. */
  | (AttemptBase & { readonly kind: "proving" })
  /** Proof received; not looked at before the attempt is on disk. */
  | (AttemptBase & {
      readonly kind: "persisting";
      readonly prove: PairProve;
      readonly gone: boolean;
      readonly chargedAt: number;
    })
  /** Proof right; the shell looks at the CSR. */
  | (AttemptBase & { readonly kind: "inspecting"; readonly prove: PairProve })
  /** Asked for a renewal; the shell looks up whose key it is. */
  | (RenewalBase & { readonly kind: "looking-up" })
  /** Granted; the shell issues. */
  | (RenewalBase & { readonly kind: "renewing"; readonly deviceId: string })
  /** Proof answered; what remains is the request's. */
  | { readonly kind: "waiting"; readonly attemptId: string; readonly requestId: string };

/** How far a request has come. */
export type RequestStatus =
  | { readonly kind: "pending" }
  | { readonly kind: "approved"; readonly deviceId: string }
  | { readonly kind: "issued"; readonly issued: PairIssued };

/** A device that proved a code and asks to be let in. */
export interface PairingRequest {
  readonly requestId: string;
  readonly windowId: string;
  readonly name: string;
  readonly platform: { readonly os: string; readonly arch: string };
  readonly source: string;
  readonly spkiSha256: Uint8Array;
  readonly csr: Uint8Array;
  readonly words: PairingWords;
  /** The device this key is enrolled for already: it is that device that pairs again. */
  readonly enrolledAs: string | undefined;
  readonly status: RequestStatus;
  /** The stream that waits, if one does. */
  readonly attemptId: string | undefined;
  readonly expiresAt: number;
}

/** What does not change. */
export interface GatewayPairingConfig {
  readonly meshId: string;
  /** The mesh root, DER. */
  readonly root: Uint8Array;
  readonly limits: PairingLimits;
}

/** The whole state. */
export interface GatewayPairing {
  readonly config: GatewayPairingConfig;
  /** By window id. */
  readonly codes: ReadonlyMap<string, Code>;
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly requests: ReadonlyMap<string, PairingRequest>;
  readonly budget: Budget;
}

/**
 * A gateway without windows.
 * @param options.failedAt when earlier attempts failed, of the last day, as persisted; a restart gives no new guesses
 */
export function createGatewayPairing(options: {
  readonly meshId: string;
  readonly root: Uint8Array;
  readonly limits?: Partial<PairingLimits>;
  readonly failedAt?: Partial<FailedAt>;
}): GatewayPairing {
  return {
    config: { meshId: options.meshId, root: options.root, limits: { ...PAIRING_LIMITS, ...options.limits } },
    codes: new Map(),
    attempts: new Map(),
    requests: new Map(),
    budget: restoreBudget(options.failedAt ?? {}),
  };
}
