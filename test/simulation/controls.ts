/** The product, broken on purpose: the simulation has to notice each of these. Nothing in the sources changes; what is between the parts does. */
import type { ScenarioName } from "./plan.ts";
import {
  blindGateway,
  blindNode,
  burnsBoth,
  keepsSecrets,
  noApproval,
  noClaim,
  otherCodeStaysOpen,
  otherWords,
  ownCodeForAnyone,
  placesWithoutEnd,
  staysOpen,
} from "./pairing/broken.ts";
import type { Broken } from "./broken.ts";
import {
  takeEverything,
  forgetReaders,
  forgetWatermarks,
  acknowledgeEverything,
  answerEarly,
  impatient,
  trusting,
  recordedEarly,
  receiptEarly,
  repeatEpochs,
  refillUses,
  dropSealedCodes,
  takeStaleReports,
} from "./sabotage.ts";

/** A promise that is broken. */
export interface Control {
  readonly scenario: ScenarioName;
  readonly about: string;
  readonly broken: Broken;
  /** A seed before the first that shows it, where that is far from the first of all. */
  readonly from?: number;
  /** What the simulation may call it: the rules one of which must be seen to be broken. */
  readonly rules: readonly string[];
}

/** Every control by name. */
export const CONTROLS = {
  "no-dedupe": {
    scenario: "events",
    about: "the gateway stores whatever comes, without a look at the watermark",
    broken: { store: { rewrite: takeEverything } },
    rules: ["exactly-once"],
  },
  "ack-before-commit": {
    scenario: "events",
    about: "the gateway acknowledges what it has received and not committed",
    broken: { store: { early: answerEarly } },
    rules: ["acknowledged-is-committed", "sequences-in-order", "comes-right"],
  },
  "no-fsync-on-the-node": {
    scenario: "events",
    about: "the node's outbox does not sync what it calls recorded",
    broken: { nodeOmitsSync: true },
    rules: ["recorded-is-durable", "no-surprises"],
  },
  "no-fsync-on-the-gateway": {
    scenario: "events",
    about: "the gateway's commits are not on disk when it acknowledges them",
    broken: { gatewayOmitsSync: true },
    rules: ["committed-is-durable"],
  },
  "truncate-before-ack": {
    scenario: "events",
    about: "the node drops from its outbox what it has sent",
    broken: { outbox: impatient },
    rules: ["acknowledged-is-committed"],
  },
  "numbers-prove-it": {
    scenario: "events",
    about: "an outbox takes what the gateway has under its numbers for its own, whoever sent it",
    broken: { outbox: trusting },
    from: 167,
    rules: ["let-go-is-logged", "comes-right"],
  },
  "silent-renumbering": {
    scenario: "events",
    about: "an outbox that goes on under another numbering does not say so",
    broken: { tellsNothing: true },
    rules: ["twice-is-told", "comes-right"],
  },
  "cursor-before-delivery": {
    scenario: "events",
    about: "a reader saves its cursor before it has acted on the event",
    broken: { cursorFirst: true },
    rules: ["read-all-in-order", "read-once"],
  },
  "retention-forgets-readers": {
    scenario: "events",
    about: "retention drops what is old whether a durable subscription still needs it or not",
    broken: { store: { rewrite: forgetReaders } },
    rules: ["no-surprises", "read-all-in-order"],
  },
  "watermark-goes-with-the-events": {
    scenario: "events",
    about: "what an outbox has committed is read off the log, and forgotten when retention drops its events",
    broken: { store: { rewrite: forgetWatermarks } },
    rules: ["exactly-once", "sequences-in-order", "acknowledged-is-committed", "no-surprises"],
  },
  "durable-cursor-before-delivery": {
    scenario: "events",
    about: "the gateway moves the cursor of a durable subscription past what its reader has acknowledged",
    broken: { store: { rewrite: acknowledgeEverything } },
    rules: ["read-all-in-order", "comes-right"],
  },
  "revoked-in-name-only": {
    scenario: "sessions",
    about: "revoking does not reach the index that handshakes ask",
    broken: { forgetsRevocation: true },
    rules: ["refused-in-the-handshake"],
  },
  "receipt-before-commit": {
    scenario: "sessions",
    about: "an operator gets the receipt before the revocation is committed",
    broken: { store: { early: receiptEarly } },
    rules: ["receipt-is-committed", "nothing-after-revocation", "no-surprises"],
  },
  "both-sessions-stay": {
    scenario: "sessions",
    about: "a device's session stays when another one of the same device has come",
    broken: { keepsOlderSession: true },
    rules: ["one-session-per-device"],
  },
  "same-epoch-twice": {
    scenario: "sessions",
    about: "a session takes over without an epoch of its own",
    broken: { store: { rewrite: repeatEpochs } },
    rules: ["epochs-grow-by-one"],
  },
  "no-fencing": {
    scenario: "tasks",
    about: "whatever a node reports on a task is taken for the newest attempt",
    broken: { store: { rewrite: takeStaleReports } },
    rules: ["result-of-the-lease"],
  },
  "judged-before-recorded": {
    scenario: "pairing",
    about: "a proof is judged before the attempt is on disk",
    broken: { store: { early: recordedEarly } },
    rules: ["recorded-before-judged"],
  },
  "no-claim": {
    scenario: "pairing",
    about: "a code that somebody tries can be tried by others meanwhile",
    broken: { pairing: { gatewayStep: noClaim } },
    rules: ["three-wrong-proofs-a-code", "budgets-hold"],
  },
  "code-stays-open": {
    scenario: "pairing",
    about: "a code that a device has proved is open for the next",
    broken: { pairing: { gatewayStep: staysOpen } },
    rules: ["one-device-at-a-code", "one-use-per-code"],
  },
  "other-code-stays-open": {
    scenario: "pairing",
    about: "a device that has proved one code of a window leaves the other one open",
    broken: { pairing: { gatewayStep: otherCodeStaysOpen } },
    from: 28,
    rules: ["one-device-at-a-code", "one-use-per-code"],
  },
  "burns-both-codes": {
    scenario: "pairing",
    about: "who burns the PIN of a window burns its ticket",
    broken: { pairing: { gatewayStep: burnsBoth } },
    from: 170,
    rules: ["a-burnt-code-spares-the-other"],
  },
  "own-code-for-anyone": {
    scenario: "pairing",
    about: "a code that a node shows lets in whoever has read it",
    broken: { pairing: { gatewayStep: ownCodeForAnyone } },
    from: 26,
    rules: ["a-nodes-code-is-its-own"],
  },
  "uses-without-end": {
    scenario: "pairing",
    about: "a pre-approved ticket lets in more devices than it is for",
    broken: { store: { rewrite: refillUses }, pairing: { gatewayStep: placesWithoutEnd } },
    from: 51,
    rules: ["uses-are-bounded"],
  },
  "forgets-lasting-windows": {
    scenario: "pairing",
    about: "a pre-approved window ends with the gateway's process",
    broken: { store: { rewrite: dropSealedCodes } },
    from: 36,
    rules: ["lasting-windows-last"],
  },
  "renews-for-ever": {
    scenario: "pairing",
    about: "a certificate is renewed however long ago it ran out",
    broken: { pairing: { limits: { lateRenewalMs: Infinity } } },
    from: 13,
    rules: ["renewed-in-time"],
  },
  "no-burn": {
    scenario: "pairing",
    about: "wrong proofs do not end a code",
    broken: { pairing: { limits: { failuresPerCode: 99, failuresPerHour: 99, failuresPerDay: 99 } } },
    rules: ["three-wrong-proofs-a-code"],
  },
  "no-approval": {
    scenario: "pairing",
    about: "whoever has proved a code is let in, and nobody is asked",
    broken: { pairing: { gatewayStep: noApproval } },
    rules: ["nobody-without-approval"],
  },
  "blind-channel": {
    scenario: "pairing",
    about: "what TLS showed, keys and mesh, is not part of the proof",
    broken: { pairing: { gatewayStep: blindGateway, nodeStep: blindNode, blind: true } },
    rules: ["nothing-through-a-middle"],
  },
  "other-words": {
    scenario: "pairing",
    about: "the operator is shown words of something else",
    broken: { pairing: { gatewayStep: otherWords } },
    rules: ["same-words"],
  },
  "keeps-secrets": {
    scenario: "pairing",
    about: "the code of a window that is over stays in memory",
    broken: { pairing: { gatewayStep: keepsSecrets } },
    rules: ["secrets-erased"],
  },
  "no-fsync-for-devices": {
    scenario: "pairing",
    about: "a certificate is handed out before its device is on disk",
    broken: { gatewayOmitsSync: true },
    // A device that is gone with its key leaves the key to the next.
    rules: ["paired-is-durable", "committed-is-durable", "one-device-per-key"],
  },
} as const satisfies Readonly<Record<string, Control>>;
