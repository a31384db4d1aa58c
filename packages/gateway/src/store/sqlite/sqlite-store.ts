import type { GatewayError } from "../../errors.ts";
import type { DeviceStore } from "../port-devices.ts";
import type { EventStore, SessionStore } from "../port-events.ts";
import type { PairingStore } from "../port-pairing.ts";
import type { PolicyStore } from "../port-policies.ts";
import type { SubscriptionStore } from "../port-subscriptions.ts";
import type { TaskStore } from "../port-tasks.ts";
import type { MetaStore, Store, StoreStats } from "../port.ts";
import { StoreHealth } from "./health.ts";
import { readGeneration, writeGeneration } from "./generation.ts";
import type { SqliteStoreOptions } from "./options.ts";
import { Watchers } from "./watchers.ts";
import { WorkerClient, type WorkerClientOptions } from "./worker-client.ts";

const DEFAULT_MAX_QUEUED_WRITES = 16_384;
const MAX_QUEUED_READS = 65_536;

/**
 * Open the store in one SQLite file, made if it is not there. Writes run in one worker thread, reads in another.
 * @throws {GatewayError} `STORE_IN_USE`, `STORE_CORRUPT`, `STORE_NEWER`, `STORE_ROLLED_BACK`, `STORE_FULL`, `STORE_FAILED`; rethrows `signal.reason`
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  options.signal?.throwIfAborted();
  const { path, generationPath, logger } = options;
  const seenGeneration = generationPath === undefined ? 0 : await readGeneration(generationPath);
  const health = new StoreHealth();
  const watchers = new Watchers();
  let broken = false;
  const onFailure = (error: GatewayError): void => {
    logger?.error({ code: error.code, error }, "the store has failed: nothing is stored or read any more");
    if (!broken) options.onBroken?.(error);
    broken = true;
  };
  const [writer, reader] = await openBoth(
    {
      role: { kind: "write", file: { path, seenGeneration, maxBytes: options.maxBytes ?? 0 } },
      maxPending: options.maxQueuedWrites ?? DEFAULT_MAX_QUEUED_WRITES,
      onFailure,
      onReply: (unit, reply) => {
        health.note(unit, reply, logger);
        watchers.note(unit, reply);
      },
    },
    { role: { kind: "read", path }, maxPending: MAX_QUEUED_READS, onFailure },
  );
  try {
    if (generationPath !== undefined) await writeGeneration(generationPath, writer.generation);
    return assemble(writer, reader, health, watchers);
  } catch (error) {
    await Promise.all([reader.close(), writer.close()]);
    throw error;
  }
}

/** Start both threads side by side; where one fails, the other is ended. */
async function openBoth(
  write: WorkerClientOptions,
  read: WorkerClientOptions,
): Promise<readonly [WorkerClient, WorkerClient]> {
  const [writer, reader] = await Promise.allSettled([WorkerClient.open(write), WorkerClient.open(read)]);
  if (writer.status === "fulfilled" && reader.status === "fulfilled") return [writer.value, reader.value];
  for (const opened of [writer, reader]) if (opened.status === "fulfilled") await opened.value.close();
  throw writer.status === "rejected" ? writer.reason : reader.status === "rejected" ? reader.reason : undefined;
}

function assemble(writer: WorkerClient, reader: WorkerClient, health: StoreHealth, watchers: Watchers): Store {
  const close = async () => {
    // The writer last: only a connection that may write can fold the WAL into the file as it leaves.
    await reader.close();
    await writer.close();
  };
  return {
    meta: metaStore(writer, reader),
    lineage: {
      checkpoint: () => reader.call("lineage.checkpoint", undefined),
      behind: () => reader.call("lineage.behind", undefined),
    },
    devices: deviceStore(writer, reader),
    pairing: pairingStore(writer, reader),
    sessions: sessionStore(writer),
    events: eventStore(writer, reader),
    subscriptions: subscriptionStore(writer, reader),
    policies: policyStore(writer, reader),
    tasks: taskStore(writer, reader),
    watch: (listener) => watchers.add(listener),
    stats: (): StoreStats => ({
      units: health.units,
      queued: writer.pending,
      state: writer.closed ? "closed" : health.full ? "full" : "ok",
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function metaStore(writer: WorkerClient, reader: WorkerClient): MetaStore {
  return {
    logId: writer.logId,
    generation: writer.generation,
    get: (key) => reader.call("meta.get", key),
    put: (key, value) => writer.call("meta.put", { key, value }),
  };
}

function deviceStore(writer: WorkerClient, reader: WorkerClient): DeviceStore {
  return {
    list: () => reader.call("devices.list", undefined),
    count: () => reader.call("devices.count", undefined),
    get: (deviceId) => reader.call("devices.get", deviceId),
    find: (wanted) => reader.call("devices.find", wanted),
    select: (selector) => reader.call("devices.select", selector),
    findByKey: (spki) => reader.call("devices.find-by-key", spki),
    trustSnapshot: () => reader.call("devices.trust", undefined),
    certificates: (deviceId) => reader.call("devices.certificates", deviceId),
    revocationEpoch: () => reader.call("devices.revocation-epoch", undefined),
    receipt: (deviceId) => reader.call("devices.receipt", deviceId),
    revocationImpact: (deviceId) => reader.call("devices.revocation-impact", deviceId),
    enroll: (input) => writer.call("devices.enroll", input),
    addCertificate: (certificate) => writer.call("devices.add-certificate", certificate),
    retireCertificates: (input) => writer.call("devices.retire-certificates", input),
    requestRotation: (input) => writer.call("devices.request-rotation", input),
    unfreeze: (input) => writer.call("devices.unfreeze", input),
    revoke: (input) => writer.call("devices.revoke", input),
    finishRevocation: (input) => writer.call("devices.finish-revocation", input),
  };
}

function pairingStore(writer: WorkerClient, reader: WorkerClient): PairingStore {
  return {
    putWindow: (row) => writer.call("pairing.put-window", row),
    window: (windowId) => reader.call("pairing.window", windowId),
    windowByCode: (codeId) => reader.call("pairing.window-by-code", codeId),
    windows: (states) => reader.call("pairing.windows", states),
    moveWindow: (input) => writer.call("pairing.move-window", input),
    recordAttempt: (input) => writer.call("pairing.record-attempt", input),
    recordFailure: (input) => writer.call("pairing.record-failure", input),
    recordProof: (attemptId) => writer.call("pairing.record-proof", attemptId),
    countFailures: (input) => reader.call("pairing.count-failures", input),
    putRequest: (row) => writer.call("pairing.put-request", row),
    request: (requestId) => reader.call("pairing.request", requestId),
    requests: (states) => reader.call("pairing.requests", states),
    moveRequest: (input) => writer.call("pairing.move-request", input),
  };
}

function sessionStore(writer: WorkerClient): SessionStore {
  return {
    open: (input) => writer.call("sessions.open", input),
    close: (input) => writer.call("sessions.close", input),
    noteMesh: (input) => writer.call("sessions.note-mesh", input),
    setCapabilities: (input) => writer.call("sessions.set-capabilities", input),
  };
}

function eventStore(writer: WorkerClient, reader: WorkerClient): EventStore {
  return {
    append: (input) => writer.call("events.append", input),
    record: (input) => writer.call("events.record", input),
    watermark: (input) => reader.call("events.watermark", input),
    read: (input) => reader.call("events.read", input),
    bounds: () => reader.call("events.bounds", undefined),
    seek: (input) => reader.call("events.seek", input),
    compact: (input) => writer.call("events.compact", input),
    retain: (input) => writer.call("events.retain", input),
    pruneHistory: (input) => writer.call("events.prune-history", input),
    quarantined: (input) => reader.call("events.quarantined", input),
    verify: (input) => reader.call("events.verify", input),
    usage: () => reader.call("events.usage", undefined),
  };
}

function subscriptionStore(writer: WorkerClient, reader: WorkerClient): SubscriptionStore {
  return {
    open: (input) => writer.call("subscriptions.open", input),
    acknowledge: (input) => writer.call("subscriptions.acknowledge", input),
    get: (input) => reader.call("subscriptions.get", input),
    list: (input) => reader.call("subscriptions.list", input),
    remove: (input) => writer.call("subscriptions.remove", input),
    floor: (input) => writer.call("subscriptions.floor", input),
  };
}

function policyStore(writer: WorkerClient, reader: WorkerClient): PolicyStore {
  return {
    current: () => reader.call("policies.current", undefined),
    history: (input) => reader.call("policies.history", input),
    put: (input) => writer.call("policies.put", input),
  };
}

function taskStore(writer: WorkerClient, reader: WorkerClient): TaskStore {
  return {
    submit: (input) => writer.call("tasks.submit", input),
    get: (taskId) => reader.call("tasks.get", taskId),
    find: (wanted) => reader.call("tasks.find", wanted),
    list: (input) => reader.call("tasks.list", input),
    unfinished: (input) => reader.call("tasks.unfinished", input),
    due: (input) => reader.call("tasks.due", input),
    step: (input) => writer.call("tasks.step", input),
    renew: (input) => writer.call("tasks.renew", input),
    resume: (input) => writer.call("tasks.resume", input),
    disconnect: (input) => writer.call("tasks.disconnect", input),
    adopt: (input) => writer.call("tasks.adopt", input),
    readInput: (input) => reader.call("tasks.read-input", input),
    readOutput: (input) => reader.call("tasks.read-output", input),
    readLog: (input) => reader.call("tasks.read-log", input),
  };
}
