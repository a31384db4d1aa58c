/** What the gateway's pairing machine holds. Plain values; times are Unix milliseconds. */
import type { PairHello, PairIssued, PairProve } from "@quaymesh/protocol";
import type { Secret } from "../../secret.ts";
import type { PairingLimits } from "../limits.ts";
import { PAIRING_LIMITS } from "../limits.ts";
import type { PairingKeys } from "../transcript.ts";
import type { PairingWords } from "../words.ts";
import type { Budget, FailedAt } from "./budget.ts";
import { restoreBudget } from "./budget.ts";

/** What opens a window: the secret of a ticket, a PIN, or the secret that a node shows itself, which serves the node with that key alone. */
export type CodeSecret =
  | { readonly kind: "ticket"; readonly codeId: Uint8Array; readonly secret: Secret<Uint8Array> }
  | { readonly kind: "pin"; readonly pin: Secret<string> }
  | {
      readonly kind: "node";
      readonly codeId: Uint8Array;
      readonly secret: Secret<Uint8Array>;
      readonly spkiSha256: Uint8Array;
    };

/** A device that got a certificate through a window before a restart, and was not seen with it: it may come for it again. */
export interface Awaited {
  readonly deviceId: string;
  readonly spkiSha256: Uint8Array;
}

/** What a window is opened with. Times are Unix milliseconds. */
export interface WindowSetup {
  readonly windowId: string;
  /** One to three, no two of a kind: each opens the window, and a device that proved one takes its place. */
  readonly codes: readonly CodeSecret[];
  readonly expiresAt: number;
  /** Devices it lets in. */
  readonly uses: number;
  /** Nobody is asked: the operator has approved whoever proves the code. */
  readonly preapproved: boolean;
  /** The device that is to be paired again, where it is to be a certain one. */
  readonly deviceId?: string | undefined;
  /** Wrong proofs so far, of each code: a window that outlives its gateway gives no new guesses. */
  readonly failures?: number;
  /** Those that have a place besides `uses`, each its own. */
  readonly awaited?: readonly Awaited[];
}

/** A code of a window. */
export interface Code {
  readonly secret: CodeSecret;
  readonly failures: number;
  /** Attempts with it from hello to judgement: never more than the window has places. */
  readonly claims: readonly string[];
}

/** A pairing window. */
export interface PairingWindow extends Omit<WindowSetup, "codes" | "failures" | "uses" | "awaited"> {
  /** Those that are not burnt. */
  readonly codes: readonly Code[];
  /** Places nobody has yet. One is taken by a proof, in the step that finds it right, and comes back only where nothing could be issued. */
  readonly places: number;
  /** The requests in the others, until their devices have had their first session; only their devices may come back with the code. */
  readonly requests: readonly string[];
  /** Those from before a restart that have not come, each with a place that is nobody else's. */
  readonly awaited: readonly Awaited[];
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
  /** The id its device will have where nobody is asked. */
  readonly deviceId: string;
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

/** Who let a device in: an operator who was asked, or the window, by what its operator said beforehand. */
export type Approver = "operator" | "window";

/** How far a request has come. */
export type RequestStatus =
  | { readonly kind: "pending" }
  | { readonly kind: "approved"; readonly deviceId: string; readonly by: Approver }
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
  /** It had its place before a restart already. */
  readonly awaited: Awaited | undefined;
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
  readonly windows: ReadonlyMap<string, PairingWindow>;
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
    windows: new Map(),
    attempts: new Map(),
    requests: new Map(),
    budget: restoreBudget(options.failedAt ?? {}),
  };
}
