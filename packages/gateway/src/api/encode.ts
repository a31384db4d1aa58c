/** The core's rows and views as operator API messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import {
  DeviceState,
  PairingState,
  TaskState,
  type DeviceSchema,
  type EventFilterSchema,
  type EventSchema,
  type PairingRequestSchema,
  type RevocationReceiptSchema,
  type TaskSchema,
} from "@quaymesh/api";
import type { DeviceView } from "../devices/service.ts";
import type { RequestView, WindowUpdate } from "../pairing/service.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { EventRow, ReceiptRow, TaskState as TaskWord } from "../store/rows.ts";
import type { TaskView } from "../tasks/service.ts";

const DEVICE_STATES: Readonly<Record<DeviceView["state"], DeviceState>> = {
  new: DeviceState.NEW,
  online: DeviceState.ONLINE,
  offline: DeviceState.OFFLINE,
  frozen: DeviceState.FROZEN,
  revoked: DeviceState.REVOKED,
};

const TASK_STATES: Readonly<Record<TaskWord, TaskState>> = {
  queued: TaskState.QUEUED,
  leased: TaskState.LEASED,
  running: TaskState.RUNNING,
  "retry-wait": TaskState.RETRY_WAIT,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
  "timed-out": TaskState.TIMED_OUT,
  dead: TaskState.DEAD,
  unknown: TaskState.UNKNOWN,
};

const PAIRING_STATES: Readonly<Record<WindowUpdate["state"], PairingState>> = {
  open: PairingState.OPEN,
  claimed: PairingState.CLAIMED,
  pending: PairingState.PENDING,
  approved: PairingState.APPROVED,
  issued: PairingState.ISSUED,
  active: PairingState.ACTIVE,
  denied: PairingState.DENIED,
  expired: PairingState.EXPIRED,
  burnt: PairingState.BURNT,
  closed: PairingState.CLOSED,
  "attempt-failed": PairingState.ATTEMPT_FAILED,
  used: PairingState.USED,
};

/** A time in whole milliseconds. */
export function timestamp(ms: number): Timestamp {
  return timestampFromMs(Math.round(ms));
}

/** A time that may be unset. */
function timeMessage(ms: number | undefined): Timestamp | undefined {
  return ms === undefined ? undefined : timestamp(ms);
}

/** @see DeviceView */
export function deviceMessage(device: DeviceView): MessageInitShape<typeof DeviceSchema> {
  const { pairedAt, lastSeenAt, certificateNotAfter, rotationRequestedAt, ...rest } = device;
  const { revocation, sessionEpoch, lastSeq, ...same } = rest;
  return {
    ...same,
    labels: [...device.labels],
    capabilities: [...device.capabilities],
    state: DEVICE_STATES[device.state],
    pairedAt: timestamp(pairedAt),
    lastSeenAt: timeMessage(lastSeenAt),
    certificateNotAfter: timeMessage(certificateNotAfter),
    rotationRequestedAt: timeMessage(rotationRequestedAt),
    sessionEpoch: BigInt(sessionEpoch),
    lastSeq: BigInt(lastSeq),
    revocation: revocation === undefined ? undefined : receiptMessage(revocation),
  };
}

/** @see ReceiptRow */
export function receiptMessage(receipt: ReceiptRow): MessageInitShape<typeof RevocationReceiptSchema> {
  return {
    ...receipt,
    revocationEpoch: BigInt(receipt.revocationEpoch),
    lastSeq: BigInt(receipt.lastSeq),
    revokedAt: timestamp(receipt.revokedAt),
    windowsClosed: [...receipt.windowsClosed],
  };
}

/** @see TaskView */
export function taskMessage(task: TaskView): MessageInitShape<typeof TaskSchema> {
  return {
    taskId: task.taskId,
    definition: task.definition,
    state: TASK_STATES[task.state],
    createdAt: timestamp(task.createdAt),
    stateSince: timestamp(task.stateSince),
    deviceId: task.deviceId ?? "",
    deviceName: task.deviceName ?? "",
    attempt: task.attempt,
    token: BigInt(task.token),
    progress: task.progress,
    progressMessage: task.progressMessage,
    inputBytes: BigInt(task.inputBytes),
    outputBytes: BigInt(task.outputBytes),
    error: task.error === undefined ? undefined : { code: task.error.code, message: task.error.message },
    finishedLate: task.finishedLate,
    leaseUntil: timeMessage(task.leaseUntil),
    deadline: timeMessage(task.attemptDeadline ?? (task.attempt === 0 ? task.queueDeadline : undefined)),
  };
}

/** @see EventRow */
export function eventMessage(event: EventRow): MessageInitShape<typeof EventSchema> {
  return {
    offset: BigInt(event.offset),
    deviceId: event.deviceId,
    outboxEpoch: event.outboxEpoch,
    seq: BigInt(event.seq),
    kind: event.kind,
    time: timestamp(event.time),
    received: timestamp(event.received),
    data: event.data,
  };
}

/** @see LogFilter */
export function filterMessage({
  kinds = [],
  devices = [],
  labels = [],
}: LogFilter): MessageInitShape<typeof EventFilterSchema> {
  return { kinds: [...kinds], devices: [...devices], labels: [...labels] };
}

/** A pairing state as the API says it. */
export function pairingState(state: WindowUpdate["state"]): PairingState {
  return PAIRING_STATES[state];
}

/** @see RequestView */
export function pairingRequestMessage(request: RequestView): MessageInitShape<typeof PairingRequestSchema> {
  return {
    requestId: request.requestId,
    windowId: request.windowId,
    state: pairingState(request.state),
    name: request.name,
    platform: request.platform,
    remoteAddress: request.remoteAddress,
    words: [...request.words],
    requestedAt: timestamp(request.requestedAt),
    deviceId: request.deviceId ?? "",
    certificateNotAfter: timeMessage(request.certificateNotAfter),
    preapproved: request.preapproved,
    ...(request.holder && { holder: request.holder }),
  };
}
