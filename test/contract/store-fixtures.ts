/** Rows for the Store contract suite. */
import type { CertificateRow, StepTask, Store, SubmitTask, TaskRow } from "@quaymesh/gateway";
import { encodeValue, type TaskEvent, type TaskInput } from "@quaymesh/protocol";

/** A moment to start from, Unix milliseconds. */
export const T0 = 1_800_000_000_000;

/** Device ids that sort as their letter does. */
export const deviceIdOf = (letter: string) => `01J${letter.repeat(23)}`.slice(0, 26);

/** 16 bytes that stand for an outbox. */
export const epochOf = (value: number) => new Uint8Array(16).fill(value);

/** A certificate row with a serial and a key of its own. */
export function certificateOf(deviceId: string, serial: string, key = deviceId): CertificateRow {
  const spkiSha256 = Buffer.from(key.padEnd(32, ".").slice(0, 32)).toString("hex");
  return {
    serial,
    deviceId,
    spkiSha256,
    notBefore: T0,
    notAfter: T0 + 30 * 86_400_000,
    issuedAt: T0,
    state: "active",
    chain: [new Uint8Array([1, 2, 3]), new Uint8Array([4])],
  };
}

/** What {@link Store.devices.enroll} takes. */
export function enrollInput(deviceId: string, serial = `serial-${deviceId}`) {
  return {
    deviceId,
    name: `name-${deviceId.slice(-1)}`,
    labels: ["gpu"],
    purpose: "tests",
    platform: "linux x64",
    certificate: certificateOf(deviceId, serial),
    now: T0,
  };
}

/** What {@link Store.sessions.open} takes. */
export function sessionInput(deviceId: string, outboxEpoch = epochOf(1)) {
  return {
    deviceId,
    outboxEpoch,
    software: "test/1",
    platform: "linux x64",
    remoteAddress: "127.0.0.1:1",
    capabilities: [{ name: "work", concurrency: 2 }],
    now: T0,
  };
}

/** `count` events whose data says which they are. */
export function eventsOf(first: number, count: number, kind = "test.tick") {
  return Array.from({ length: count }, (_, index) => ({
    kind,
    time: T0 + first + index,
    data: encodeValue(first + index),
  }));
}

/** A task that any node may take. */
export function submitInput(taskId: string, change: Partial<SubmitTask> = {}): SubmitTask {
  return {
    taskId,
    definition: "work",
    target: { kind: "any" },
    input: new Uint8Array([0xf6]),
    timeoutMs: 60_000,
    queueMs: 3_600_000,
    exclusive: false,
    idempotent: false,
    maxAttempts: 5,
    idempotencyKey: "",
    submitter: "tests",
    bodyHash: "",
    maxUnfinished: 1000,
    now: T0,
    ...change,
  };
}

/** How long leases last in the suite. */
export const LEASE_MS = 30_000;

/** Steps one input of a task's machine. */
export async function stepTask(
  store: Store,
  taskId: string,
  input: TaskInput,
  change: Partial<StepTask> = {},
): Promise<TaskRow | undefined> {
  const now = "now" in input ? input.now : T0;
  const stepped = await store.tasks.step({ taskId, inputs: [input], leaseMs: LEASE_MS, now, ...change });
  return stepped?.changed === true ? stepped.task : undefined;
}

/** A task report as an event of its node's outbox. */
export function reportOf(report: TaskEvent) {
  return { kind: report.kind, time: T0, data: encodeValue(report.data), report };
}
