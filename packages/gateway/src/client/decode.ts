/** Operator API messages to the client's plain data. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { DeviceState, TaskState } from "@quaymesh/api";
import type {
  Device,
  Event,
  GetStatusResponse,
  QuarantinedEvent as QuarantinedMessage,
  RevocationReceipt,
  Task,
  WatchTaskResponse,
} from "@quaymesh/api";
import { decodeValue, formatCursor, type LoggedEvent } from "@quaymesh/protocol/core";
import { ClientError } from "./errors.ts";
import type {
  BehindInfo,
  DeviceInfo,
  DeviceStateName,
  EventRecord,
  GatewayStatus,
  QuarantinedEvent,
  Receipt,
  TaskInfo,
  TaskStateName,
  TaskUpdate,
} from "./types.ts";

const TASK_STATES: ReadonlyMap<TaskState, TaskStateName> = new Map([
  [TaskState.QUEUED, "queued"],
  [TaskState.LEASED, "leased"],
  [TaskState.RUNNING, "running"],
  [TaskState.RETRY_WAIT, "retry-wait"],
  [TaskState.SUCCEEDED, "succeeded"],
  [TaskState.FAILED, "failed"],
  [TaskState.CANCELLED, "cancelled"],
  [TaskState.TIMED_OUT, "timed-out"],
  [TaskState.DEAD, "dead"],
  [TaskState.UNKNOWN, "unknown"],
]);

const DEVICE_STATES: ReadonlyMap<DeviceState, DeviceStateName> = new Map([
  [DeviceState.NEW, "new"],
  [DeviceState.ONLINE, "online"],
  [DeviceState.OFFLINE, "offline"],
  [DeviceState.FROZEN, "frozen"],
  [DeviceState.REVOKED, "revoked"],
]);

/** The word for an enum value. @throws {ClientError} `RESPONSE_INVALID` for one this client does not know */
export function named<K, V>(names: ReadonlyMap<K, V>, value: K, what: string): V {
  const name = names.get(value);
  if (name !== undefined) return name;
  throw new ClientError("RESPONSE_INVALID", `the gateway sent a ${what} this client does not know (${String(value)})`, {
    hint: "Use a client as new as the gateway.",
  });
}

/**
 * A field the schema calls a message, which proto3 lets a peer leave out.
 * @throws {ClientError} `RESPONSE_INVALID` without it
 */
export function required<T>(value: T | undefined, field: string): T {
  if (value !== undefined) return value;
  throw new ClientError("RESPONSE_INVALID", `the gateway's answer has no ${field}`);
}

/** Unix milliseconds of a timestamp that may be missing. */
export function timeOf(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : timestampMs(time);
}

/** @throws {ClientError} `RESPONSE_INVALID` for a state unknown here */
export function taskInfo(task: Task): TaskInfo {
  return {
    id: task.taskId,
    definition: task.definition,
    state: named(TASK_STATES, task.state, "task state"),
    createdAt: timeOf(task.createdAt),
    stateSince: timeOf(task.stateSince),
    device: task.deviceId === "" ? undefined : { id: task.deviceId, name: task.deviceName },
    attempt: task.attempt,
    progress: task.progress,
    progressMessage: task.progressMessage,
    inputBytes: Number(task.inputBytes),
    outputBytes: Number(task.outputBytes),
    error: task.error === undefined ? undefined : { code: task.error.code, message: task.error.message },
    finishedLate: task.finishedLate,
    leaseUntil: timeOf(task.leaseUntil),
    deadline: timeOf(task.deadline),
  };
}

/** @throws {ClientError} `RESPONSE_INVALID` */
export function taskUpdate(message: WatchTaskResponse): TaskUpdate {
  const task = taskInfo(required(message.task, "task"));
  const log =
    message.log === undefined
      ? undefined
      : { level: message.log.level, message: message.log.message, time: timeOf(message.log.time) };
  return { state: task.state, progress: task.progress, progressMessage: task.progressMessage, log, task };
}

/** @throws {ClientError} `RESPONSE_INVALID` */
export function deviceInfo(device: Device): DeviceInfo {
  return {
    id: device.deviceId,
    name: device.name,
    state: named(DEVICE_STATES, device.state, "device state"),
    labels: device.labels,
    purpose: device.purpose,
    platform: device.platform,
    software: device.software,
    pairedAt: timeOf(device.pairedAt),
    lastSeenAt: timeOf(device.lastSeenAt),
    certificateNotAfter: timeOf(device.certificateNotAfter),
    rotationRequestedAt: timeOf(device.rotationRequestedAt),
    keyFingerprint: device.keyFingerprint,
    capabilities: device.capabilities,
    runningTasks: device.runningTasks,
    taskSlots: device.taskSlots,
    sessionEpoch: Number(device.sessionEpoch),
    remoteAddress: device.remoteAddress,
    lastSeq: Number(device.lastSeq),
    revocation: device.revocation === undefined ? undefined : receipt(device.revocation),
  };
}

/** A revocation receipt as plain data. */
export function receipt(message: RevocationReceipt): Receipt {
  return {
    receiptId: message.receiptId,
    deviceId: message.deviceId,
    deviceName: message.deviceName,
    revocationEpoch: Number(message.revocationEpoch),
    sessionsClosed: message.sessionsClosed,
    attemptsFenced: message.attemptsFenced,
    tasksRequeued: message.tasksRequeued,
    windowsClosed: message.windowsClosed,
    closedMs: message.closedMs,
    lastSeq: Number(message.lastSeq),
    revokedAt: timeOf(message.revokedAt),
    reason: message.reason,
  };
}

/** An event with its body decoded. */
export function eventRecord(event: Event, logId: string): EventRecord {
  return {
    offset: Number(event.offset),
    deviceId: event.deviceId,
    outboxEpoch: event.outboxEpoch,
    seq: Number(event.seq),
    kind: event.kind,
    time: timeOf(event.time),
    received: timeOf(event.received),
    data: readable(event.data),
    bytes: event.data,
    logId,
    cursor: formatCursor({ log: logId, offset: Number(event.offset) }),
  };
}

/** An event as nodes get it too, as plain data. */
export function loggedRecord(event: LoggedEvent, logId: string): EventRecord {
  const { offset, device, outboxEpoch, seq, kind, time, received, data } = event;
  const cursor = formatCursor({ log: logId, offset });
  return {
    offset,
    deviceId: device,
    outboxEpoch,
    seq,
    kind,
    time,
    received,
    data: readable(data),
    bytes: data,
    logId,
    cursor,
  };
}

/** An event set aside, as plain data. */
export function quarantinedEvent(event: QuarantinedMessage): QuarantinedEvent {
  return {
    id: Number(event.id),
    offset: event.offset === 0n ? undefined : Number(event.offset),
    deviceId: event.deviceId,
    outboxEpoch: event.outboxEpoch,
    seq: Number(event.seq),
    kind: event.kind,
    time: timeOf(event.time),
    received: timeOf(event.received),
    data: readable(event.data),
    bytes: event.data,
  };
}

/** The gateway carries bodies without reading them, so one that is no CBOR must not end the whole subscription. */
function readable(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return decodeValue(bytes);
  } catch {
    return undefined;
  }
}

/** The gateway's status as plain data. */
export function gatewayStatus(status: GetStatusResponse): GatewayStatus {
  return {
    meshId: status.meshId,
    meshName: status.meshName,
    version: status.version,
    startedAt: timeOf(status.startedAt),
    meshAddresses: status.meshAddresses,
    rootFingerprint: status.rootFingerprint,
    revocationEpoch: Number(status.revocationEpoch),
    devices: status.devices,
    online: status.online,
    lastOffset: Number(status.lastOffset),
    logId: status.logId,
    refused: Object.fromEntries(Object.entries(status.refused).map(([reason, count]) => [reason, Number(count)])),
    pairingOpen: status.pairingOpen,
    connections: status.connections,
    behind: status.behind === undefined ? undefined : behindInfo(status.behind),
  };
}

function behindInfo(behind: NonNullable<GetStatusResponse["behind"]>): BehindInfo {
  return {
    deviceId: behind.deviceId,
    at: timeOf(behind.at),
    revocationEpoch: Number(behind.revocationEpoch),
    offset: Number(behind.offset),
    seenRevocationEpoch: Number(behind.seenRevocationEpoch),
    seenOffset: Number(behind.seenOffset),
    revoked: behind.revoked,
  };
}
