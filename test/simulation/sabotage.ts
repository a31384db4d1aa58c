/** What lies between the parts of the product, broken: the store, and the outbox as the publisher sees it. */
import type { OutboxCursor } from "../../packages/node/src/outbox/cursor.ts";
import type { Outbox } from "../../packages/node/src/outbox/outbox.ts";
import type { AppendInput, AppendResult } from "../../packages/gateway/src/store/port-events.ts";
import type { AcknowledgeSubscription } from "../../packages/gateway/src/store/port-subscriptions.ts";
import type { RevokeInput, RevokeResult } from "../../packages/gateway/src/store/port-devices.ts";
import type { ReceiptRow, WindowRow } from "../../packages/gateway/src/store/rows.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";
import type { TaskEvent } from "@quaymesh/protocol";
import type { SimDatabase } from "./database.ts";
import { MODEL } from "./holds.ts";
import { standIn } from "./stand-in.ts";

/** Dedupe removed: a batch goes in as if it were all new. */
export function takeEverything(job: Job, database: SimDatabase): Job {
  if (job.unit !== "events.append") return job;
  const input = job.input as AppendInput;
  return { ...job, input: { ...input, first: database.read("events.watermark", input) + 1 } };
}

/** To retention it looks as if every reader had read everything. */
export function forgetReaders(job: Job, database: SimDatabase): Job {
  if (job.unit === "events.retain") {
    const { latest } = database.read("events.bounds", undefined);
    database.tamper(`UPDATE subscriptions SET acked = ${String(latest)} WHERE name <> '${MODEL}'`);
  }
  return job;
}

/** An outbox whose events are all gone has no watermark any more. */
export function forgetWatermarks(job: Job, database: SimDatabase): Job {
  if (job.unit === "events.append") {
    database.tamper(
      "UPDATE outboxes SET acked_seq = coalesce((SELECT max(e.seq) FROM events e WHERE e.outbox = outboxes.outbox), 0)",
    );
  }
  return job;
}

/** A cursor that runs ahead of its reader. */
export function acknowledgeEverything(job: Job, database: SimDatabase): Job {
  if (job.unit !== "subscriptions.acknowledge") return job;
  const input = job.input as AcknowledgeSubscription;
  return { ...job, input: { ...input, offset: database.read("events.bounds", undefined).latest } };
}

/** The answer a commit would have, given before it. */
export function answerEarly(job: Job, database: SimDatabase): Reply | undefined {
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
export function impatient(outbox: Outbox): Outbox {
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

/** An outbox that takes all it holds for sent by itself. */
export function trusting(outbox: Outbox): Outbox {
  return standIn(outbox, {
    get sentThrough() {
      return outbox.durable;
    },
  });
}

/** The answer that recording an attempt would have, given before it. */
export function recordedEarly(job: Job): Reply | undefined {
  if (job.unit !== "pairing.record-attempt") return undefined;
  return { id: job.id, ok: true, value: { hour: 1, day: 1, prefixHour: 1 } };
}

/** The receipt that a revocation would have. */
export function receiptEarly(job: Job): Reply | undefined {
  if (job.unit !== "devices.revoke") return undefined;
  const { deviceId, receiptId, reason, now } = job.input as RevokeInput;
  const counts = {
    revocationEpoch: 1,
    sessionsClosed: 0,
    attemptsFenced: 0,
    tasksRequeued: 0,
    windowsClosed: [],
    closedMs: 0,
    lastSeq: 0,
  };
  const receipt: ReceiptRow = { receiptId, deviceId, deviceName: "", revokedAt: now, reason, ...counts };
  const value: RevokeResult = { receipt, repeated: false, tasks: [], latest: undefined };
  return { id: job.id, ok: true, value };
}

/** The epoch of the session before it. */
export function repeatEpochs(job: Job, database: SimDatabase): Job {
  if (job.unit === "sessions.open") database.tamper("UPDATE devices SET session_epoch = max(0, session_epoch - 1)");
  return job;
}

/** There is always a use left. */
export function refillUses(job: Job, database: SimDatabase): Job {
  if (job.unit === "devices.enroll") database.tamper("UPDATE pairing_windows SET uses_left = 1 WHERE uses_left = 0");
  return job;
}

/** A window is written down without what would open it again. */
export function dropSealedCodes(job: Job): Job {
  if (job.unit !== "pairing.put-window") return job;
  return { ...job, input: { ...(job.input as WindowRow), sealedCode: undefined } };
}

/** Fencing removed: a report counts whatever its token. */
export function takeStaleReports(job: Job, database: SimDatabase): Job {
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
