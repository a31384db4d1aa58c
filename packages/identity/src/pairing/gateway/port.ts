/** What goes into the gateway's pairing machine and what it asks for. Times are Unix milliseconds. */
import type { PairHello, PairIssued, PairProve, PairToNode, Renewed } from "@quaymesh/protocol";
import type { PairingCode } from "../../errors.ts";
import type { SecretKind } from "./budget.ts";
import type { Approver, CodeSecret, PairingPeer, PairingRequest, WindowSetup } from "./state.ts";

/** Chance for one attempt, all of it fresh. */
export interface AttemptEntropy {
  /** 16 bytes. */
  readonly nonce: Uint8Array;
  /** 32 bytes. */
  readonly scalar: Uint8Array;
  /** 16 bytes: the secret of a run whose code is not valid. */
  readonly decoy: Uint8Array;
  /** The id of the request, should it come to one; unguessable, at most 64 characters. */
  readonly requestId: string;
}

/** What the shell found out about a CSR, with `parseCsr` and its store. */
export type CsrFinding =
  | { readonly kind: "invalid"; readonly detail: string }
  | {
      readonly kind: "valid";
      readonly spkiSha256: Uint8Array;
      /** What the key is already. */
      readonly enrolment:
        | { readonly kind: "none" | "revoked" }
        /** `frozen`: set aside until an operator has decided. */
        | { readonly kind: "device"; readonly deviceId: string; readonly frozen: boolean };
    };

/** What the shell found out about a request for a late renewal: first whose key the connection has, then what the CSR says. */
export type RenewalFinding =
  | { readonly kind: "unknown" | "revoked" | "frozen" }
  | { readonly kind: "invalid"; readonly detail: string }
  | {
      readonly kind: "device";
      readonly deviceId: string;
      /** The CSR's key. */
      readonly spkiSha256: Uint8Array;
      /** End of the device's newest certificate. */
      readonly notAfter: number;
    };

/** What happens. Every input carries the time; deadlines that have passed are applied before it. */
export type GatewayPairingInput = { readonly now: number } & (
  | ({ readonly kind: "open" } & WindowSetup)
  | { readonly kind: "close"; readonly windowId: string }
  | {
      readonly kind: "hello";
      readonly attemptId: string;
      readonly hello: PairHello;
      readonly peer: PairingPeer;
      readonly entropy: AttemptEntropy;
      /** A new ULID, for a device that is let in without asking. */
      readonly deviceId: string;
    }
  | { readonly kind: "prove"; readonly attemptId: string; readonly prove: PairProve }
  /** The `persist` effect is on disk. */
  | { readonly kind: "persisted"; readonly attemptId: string }
  /** It is not, and will not be: the attempt must not be judged. */
  | { readonly kind: "persist-failed"; readonly attemptId: string }
  | { readonly kind: "csr-inspected"; readonly attemptId: string; readonly finding: CsrFinding }
  /** `deviceId`: a new ULID, or the device this one is to be; a key that is enrolled keeps its own. */
  | { readonly kind: "approve"; readonly requestId: string; readonly deviceId: string }
  | { readonly kind: "deny"; readonly requestId: string }
  /** The `issue` effect is committed. */
  | { readonly kind: "issued"; readonly requestId: string; readonly issued: PairIssued }
  /** `revoked`: the device is, meanwhile, by an operator. */
  | { readonly kind: "issue-failed"; readonly requestId: string; readonly revoked: boolean }
  /** A device asks for a late renewal. */
  | { readonly kind: "renew"; readonly attemptId: string; readonly csr: Uint8Array; readonly peer: PairingPeer }
  | { readonly kind: "renewal-inspected"; readonly attemptId: string; readonly finding: RenewalFinding }
  /** The `renew` effect is committed. */
  | { readonly kind: "renewal-issued"; readonly attemptId: string; readonly renewed: Renewed }
  /** `revoked`: meanwhile, by an operator. */
  | { readonly kind: "renewal-failed"; readonly attemptId: string; readonly revoked: boolean }
  /** The node's last message. */
  | { readonly kind: "done"; readonly attemptId: string }
  /** The stream or the connection ended. */
  | { readonly kind: "gone"; readonly attemptId: string }
  /** The device has its first session on the mesh endpoint. */
  | { readonly kind: "activated"; readonly deviceId: string }
  | { readonly kind: "tick" }
);

/** Why a code or a window is over. `paired`: every place was taken. A denied device's place is not given to another. */
export type CodeEnd = "paired" | "denied" | "burnt" | "expired" | "closed";

/** How a request ended. `failed`, `revoked`: it was approved, and came to nothing. */
export type RequestEnd = "active" | "denied" | "expired" | "failed" | "revoked";

/** What the shell is asked to do, in this order. */
export type GatewayPairingEffect =
  | { readonly kind: "send"; readonly attemptId: string; readonly message: PairToNode }
  /** Answer with an error frame and end the stream. */
  | {
      readonly kind: "fail";
      readonly attemptId: string;
      readonly code: PairingCode;
      readonly message: string;
      readonly retryAfterMs: number | undefined;
    }
  /** Record durably that a proof is about to be judged; answer `persisted` or `persist-failed`. With a window it counts as failed until `settle`; without one it guesses at nothing and never counts. */
  | {
      readonly kind: "persist";
      readonly attemptId: string;
      readonly windowId: string | undefined;
      /** What was guessed at, for the budgets after a restart. */
      readonly secret: SecretKind;
      readonly source: string;
      readonly at: number;
    }
  /** What became of it. `proved`: the record no longer counts. */
  | { readonly kind: "settle"; readonly attemptId: string; readonly outcome: "proved" | "failed" }
  /** Parse and look up; answer `csr-inspected`. */
  | { readonly kind: "inspect-csr"; readonly attemptId: string; readonly csr: Uint8Array }
  /** Show to the operator, or show anew: a device that came back has new words. `preapproved`: there is nothing to ask, the approval follows. */
  | { readonly kind: "ask"; readonly request: PairingRequest; readonly preapproved: boolean }
  /** Issue and commit, idempotent by request and key; answer `issued` or `issue-failed`. */
  | {
      readonly kind: "issue";
      readonly requestId: string;
      readonly deviceId: string;
      readonly name: string;
      readonly csr: Uint8Array;
      readonly spkiSha256: Uint8Array;
      readonly windowId: string;
      /** Who approved. */
      readonly by: Approver;
    }
  /** Look up the key, then parse the CSR; answer `renewal-inspected`. */
  | {
      readonly kind: "inspect-renewal";
      readonly attemptId: string;
      readonly csr: Uint8Array;
      readonly spkiSha256: Uint8Array;
    }
  /** Issue another certificate and commit it, or take one that is young enough; answer `renewal-issued` or `renewal-failed`. */
  | {
      readonly kind: "renew";
      readonly attemptId: string;
      readonly deviceId: string;
      readonly csr: Uint8Array;
      readonly spkiSha256: Uint8Array;
    }
  /** Send the last message and end the stream. */
  | { readonly kind: "finish"; readonly attemptId: string; readonly message: Renewed }
  | { readonly kind: "request-ended"; readonly requestId: string; readonly outcome: RequestEnd }
  /** Erase the secret. A code can be burnt while its window goes on with another. */
  | { readonly kind: "code-ended"; readonly windowId: string; readonly reason: CodeEnd; readonly code: CodeSecret }
  /** Follows those of its codes. */
  | { readonly kind: "window-ended"; readonly windowId: string; readonly reason: CodeEnd }
  /** An input from the operator changed nothing. */
  | {
      readonly kind: "rejected";
      readonly input: "open" | "approve" | "deny";
      readonly id: string;
      readonly reason: "unknown" | "decided" | "exists" | "pin-window-open" | "expired";
    };
