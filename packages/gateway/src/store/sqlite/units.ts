/** Every unit by name: what the worker runs, and the types by which the store calls it. A write unit is atomic; see group-commit.ts. */
import { appendEvents, recordEvent } from "./append.ts";
import type { Database } from "./database.ts";
import { findDevice } from "./device-rows.ts";
import * as devices from "./devices.ts";
import * as events from "./events.ts";
import * as history from "./history.ts";
import * as marks from "./log-marks.ts";
import * as lineage from "./lineage.ts";
import * as meta from "./meta.ts";
import * as pairing from "./pairing.ts";
import * as policies from "./policies.ts";
import { retentionFloor } from "./retention-floor.ts";
import * as retention from "./retention.ts";
import * as revocation from "./revocation.ts";
import * as sessions from "./sessions.ts";
import { findSubscription } from "./subscription-rows.ts";
import * as subscriptions from "./subscriptions.ts";
import * as changes from "./task-changes.ts";
import { findTask } from "./task-rows.ts";
import * as tasks from "./tasks.ts";

/** Units that write. */
export const WRITES = {
  "meta.put": meta.putMeta,
  "devices.enroll": devices.enroll,
  "devices.add-certificate": devices.addCertificate,
  "devices.retire-certificates": devices.retireCertificates,
  "devices.request-rotation": devices.requestRotation,
  "devices.unfreeze": devices.unfreeze,
  "devices.revoke": revocation.revokeDevice,
  "devices.finish-revocation": revocation.finishRevocation,
  "pairing.put-window": pairing.putWindow,
  "pairing.move-window": pairing.moveWindow,
  "pairing.record-attempt": pairing.recordAttempt,
  "pairing.record-failure": pairing.recordFailure,
  "pairing.record-proof": pairing.recordProof,
  "pairing.put-request": pairing.putRequest,
  "pairing.move-request": pairing.moveRequest,
  "sessions.open": sessions.openSession,
  "sessions.close": sessions.closeSession,
  "sessions.note-mesh": sessions.noteMesh,
  "sessions.set-capabilities": sessions.setCapabilities,
  "events.append": appendEvents,
  "events.record": recordEvent,
  "events.compact": (db: Database, input: { readonly upTo: number }) => retention.dropUpTo(db, input.upTo),
  "events.retain": retention.retain,
  "events.prune-history": history.pruneHistory,
  "subscriptions.open": subscriptions.openSubscription,
  "subscriptions.acknowledge": subscriptions.acknowledge,
  "subscriptions.remove": subscriptions.removeSubscription,
  "subscriptions.floor": retentionFloor,
  "policies.put": policies.putPolicy,
  "tasks.submit": tasks.submitTask,
  "tasks.step": changes.stepStoredTask,
  "tasks.renew": changes.renewLeases,
  "tasks.resume": changes.resumeAttempts,
  "tasks.disconnect": changes.disconnectDevice,
  "tasks.adopt": changes.adoptAttempts,
} as const;

/** Units that only read. */
export const READS = {
  "lineage.checkpoint": (db: Database, _input: undefined) => lineage.currentCheckpoint(db),
  "lineage.behind": (db: Database, _input: undefined) => lineage.behind(db),
  "meta.get": meta.getMeta,
  "devices.list": devices.listDevices,
  "devices.count": (db: Database, _input: undefined) => devices.countDevices(db),
  "devices.get": findDevice,
  "devices.select": devices.selectDevices,
  "devices.find": devices.findDevices,
  "devices.find-by-key": devices.findDeviceByKey,
  "devices.trust": (db: Database, _input: undefined) => devices.trustSnapshot(db),
  "devices.certificates": devices.deviceCertificates,
  "devices.revocation-epoch": (db: Database, _input: undefined) => meta.revocationEpoch(db),
  "devices.receipt": devices.latestReceipt,
  "devices.revocation-impact": revocation.revocationImpact,
  "pairing.window": pairing.getWindow,
  "pairing.window-by-code": pairing.windowByCode,
  "pairing.windows": pairing.listWindows,
  "pairing.count-failures": pairing.countFailures,
  "pairing.request": pairing.getRequest,
  "pairing.requests": pairing.listRequests,
  "events.watermark": events.readWatermark,
  "events.read": events.readEvents,
  "events.bounds": (db: Database, _input: undefined) => events.logBounds(db),
  "events.seek": marks.seekTime,
  "subscriptions.get": findSubscription,
  "subscriptions.list": subscriptions.listSubscriptions,
  "policies.current": (db: Database, _input: undefined) => policies.currentPolicy(db),
  "policies.history": policies.policyHistory,
  "events.quarantined": history.readQuarantine,
  "events.verify": events.verifyEvents,
  "events.usage": (db: Database, _input: undefined) => retention.logUsage(db),
  "tasks.get": findTask,
  "tasks.find": tasks.findTasks,
  "tasks.list": tasks.listTasks,
  "tasks.unfinished": tasks.unfinishedTasks,
  "tasks.due": tasks.dueTasks,
  "tasks.read-input": tasks.readInput,
  "tasks.read-output": tasks.readOutput,
  "tasks.read-log": tasks.readLog,
} as const;

type Units = typeof WRITES & typeof READS;
/** Names of units. */
export type UnitName = keyof Units;
/** What a unit takes. */
export type UnitInput<N extends UnitName> = Parameters<Units[N]>[1];
/** What a unit gives. */
export type UnitOutput<N extends UnitName> = ReturnType<Units[N]>;
