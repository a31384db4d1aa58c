/** The product, broken on purpose: the simulation has to notice each of these. Nothing in the sources changes; what is between the parts does. */
import type { OutboxCursor } from "../../packages/node/src/outbox/cursor.ts";
import type { Outbox } from "../../packages/node/src/outbox/outbox.ts";
import type { AppendInput, AppendResult } from "../../packages/gateway/src/store/port-events.ts";
import type { AcknowledgeSubscription } from "../../packages/gateway/src/store/port-subscriptions.ts";
import type { RevokeInput, RevokeResult } from "../../packages/gateway/src/store/port-devices.ts";
import type { ReceiptRow } from "../../packages/gateway/src/store/rows.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";
import type { TaskEvent } from "@quaymesh/protocol";
import type { SimDatabase } from "./database.ts";
import { MODEL } from "./holds.ts";
import type { ScenarioName } from "./plan.ts";
import { blindGateway, blindNode, keepsSecrets, noApproval, noClaim, otherWords, staysOpen } from "./pairing/broken.ts";
import { standIn } from "./stand-in.ts";
import type { Broken } from "./broken.ts";

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
    rules: ["paired-is-durable", "committed-is-durable"],
  },
} as const satisfies Readonly<Record<string, Control>>;

/** Dedupe removed: a batch goes in as if it were all new. */
function takeEverything(job: Job, database: SimDatabase): Job {
  if (job.unit !== "events.append") return job;
  const input = job.input as AppendInput;
  return { ...job, input: { ...input, first: database.read("events.watermark", input) + 1 } };
}

/** To retention it looks as if every reader had read everything. */
function forgetReaders(job: Job, database: SimDatabase): Job {
  if (job.unit === "events.retain") {
    const { latest } = database.read("events.bounds", undefined);
    database.tamper(`UPDATE subscriptions SET acked = ${String(latest)} WHERE name <> '${MODEL}'`);
  }
  return job;
}

/** An outbox whose events are all gone has no watermark any more. */
function forgetWatermarks(job: Job, database: SimDatabase): Job {
  if (job.unit === "events.append") {
    database.tamper(
      "UPDATE outboxes SET acked_seq = coalesce((SELECT max(e.seq) FROM events e WHERE e.outbox = outboxes.outbox), 0)",
    );
  }
  return job;
}

/** A cursor that runs ahead of its reader. */
function acknowledgeEverything(job: Job, database: SimDatabase): Job {
  if (job.unit !== "subscriptions.acknowledge") return job;
  const input = job.input as AcknowledgeSubscription;
  return { ...job, input: { ...input, offset: database.read("events.bounds", undefined).latest } };
}

/** The answer a commit would have, given before it. */
function answerEarly(job: Job, database: SimDatabase): Reply | undefined {
  if (job.unit !== "events.append") return undefined;
  const { first, events, ...outbox } = job.input as AppendInput;
  const stored = database.read("events.watermark", outbox);
  if (first > stored + 1) return undefined;
  const ackedSeq = Math.max(stored, first + events.length - 1);
  const { latest } = database.read("events.bounds", undefined);
  const value: AppendResult = {
    kind: "stored",
    ackedSeq,
    lastOffset: latest,
    inserted: ackedSeq - stored,
    conflicts: [],
    tasks: [],
  };
  return { id: job.id, ok: true, value };
}

/** An outbox that lets go of what was read from it to be sent. */
function impatient(outbox: Outbox): Outbox {
  const cursor = (after: number): OutboxCursor => {
    const reading = outbox.cursor(after);
    const next: OutboxCursor["next"] = async (limit) => {
      const records = await reading.next(limit);
      outbox.acknowledge(records.at(-1)?.seq ?? 0);
      return records;
    };
    return standIn(reading, { next });
  };
  return standIn(outbox, { cursor });
}

/** The answer that recording an attempt would have, given before it. */
function recordedEarly(job: Job): Reply | undefined {
  if (job.unit !== "pairing.record-attempt") return undefined;
  return { id: job.id, ok: true, value: { hour: 1, day: 1, prefixHour: 1 } };
}

/** The receipt that a revocation would have. */
function receiptEarly(job: Job): Reply | undefined {
  if (job.unit !== "devices.revoke") return undefined;
  const { deviceId, receiptId, reason, now } = job.input as RevokeInput;
  const counts = {
    revocationEpoch: 1,
    sessionsClosed: 0,
    attemptsFenced: 0,
    tasksRequeued: 0,
    closedMs: 0,
    lastSeq: 0,
  };
  const receipt: ReceiptRow = { receiptId, deviceId, deviceName: "", revokedAt: now, reason, ...counts };
  const value: RevokeResult = { receipt, repeated: false, tasks: [] };
  return { id: job.id, ok: true, value };
}

/** Fencing removed: a report counts whatever its token. */
function takeStaleReports(job: Job, database: SimDatabase): Job {
  if (job.unit !== "events.append") return job;
  const input = job.input as AppendInput;
  const events = input.events.map((event) => {
    const { report } = event;
    const task = report === undefined ? undefined : database.read("tasks.get", report.data.taskId);
    if (report === undefined || task === undefined) return event;
    return { ...event, report: withToken(report, task.token) };
  });
  return { ...job, input: { ...input, events } };
}

function withToken<R extends TaskEvent>(report: R, token: number): R {
  return { ...report, data: { ...report.data, token } };
}
