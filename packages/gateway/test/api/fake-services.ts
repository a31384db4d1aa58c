/** Services with canned answers behind a real operator API on a real UNIX socket. */
import type { MeshRootView, MeshService } from "../../src/mesh/service.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminSocket } from "../../src/api/admin-socket.ts";
import { operatorApi, type OperatorApiParts } from "../../src/api/operator-api.ts";
import type { Caller } from "../../src/api/permissions.ts";
import type { DeviceView } from "../../src/devices/service.ts";
import type { DaemonDiagnosis } from "../../src/daemon/diagnosis.ts";
import type { GatewayStats } from "../../src/core-views.ts";
import { GatewayError } from "../../src/errors.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import type { DeviceSelector } from "../../src/store/port-devices.ts";
import { encodeEvents, type LoggedEvent } from "@quaymesh/protocol";
import type { SubmitOptions, TaskView } from "../../src/tasks/service.ts";

export const DEVICE_ID = "01JD0000000000000000000000";
export const TASK_ID = "01JDT000000000000000000000";

const device: DeviceView = {
  deviceId: DEVICE_ID,
  name: "build-box",
  state: "online",
  labels: ["gpu"],
  purpose: "builds",
  platform: "linux x64",
  software: "test/1",
  pairedAt: 1_700_000_000_000,
  lastSeenAt: 1_700_000_001_500,
  certificateNotAfter: undefined,
  keyFingerprint: "ab".repeat(32),
  capabilities: ["files.digest"],
  runningTasks: 1,
  taskSlots: 8,
  sessionEpoch: 3,
  remoteAddress: "127.0.0.1:5000",
  lastSeq: 48_112,
  revocation: undefined,
  rotationRequestedAt: undefined,
};

export function task(over: Partial<TaskView> = {}): TaskView {
  return {
    taskId: TASK_ID,
    definition: "files.digest",
    target: { kind: "any" },
    state: "running",
    createdAt: 1_700_000_000_000,
    stateSince: 1_700_000_000_100,
    deviceId: DEVICE_ID,
    deviceName: "build-box",
    attempt: 1,
    token: 1,
    nodeDeaths: 0,
    progress: 0.5,
    progressMessage: "half",
    inputBytes: 1,
    outputBytes: 0,
    error: undefined,
    finishedLate: false,
    cancelRequested: false,
    cancelReason: "",
    fenced: false,
    gone: false,
    accepted: true,
    dueAt: undefined,
    queueMs: 1000,
    leaseUntil: undefined,
    attemptDeadline: undefined,
    queueDeadline: 1_700_000_500_000,
    retryAt: undefined,
    timeoutMs: 1000,
    exclusive: false,
    idempotent: false,
    maxAttempts: 5,
    logLines: 0,
    ...over,
  };
}

export function event(offset: number, data = new Uint8Array([0x01])): LoggedEvent {
  const times = { time: 1_700_000_000_000, received: 1_700_000_000_001 };
  return {
    offset,
    device: DEVICE_ID,
    outboxEpoch: new Uint8Array(16),
    seq: offset,
    kind: "test.tick",
    data,
    ...times,
  };
}

/** Resolves, or rejects with the reason, when `signal` aborts. */
export function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = () => reject(signal?.reason);
    if (signal?.aborted === true) fail();
    else signal?.addEventListener("abort", fail, { once: true });
  });
}

/** What the fakes have seen. */
export interface Seen {
  submitted: SubmitOptions[];
  stopRequests: number;
  selector?: DeviceSelector;
  /** One entry per subscription that has ended. */
  ended: string[];
  onEnded: () => void;
}

/** Counters of which no two are equal. */
export const stats: GatewayStats = {
  startedAt: 1_700_000_000_000,
  transport: {
    connections: 11,
    halfOpen: 12,
    accepted: 13,
    refused: { busy: 14 },
    cut: { idle: 15 },
    throttled: 16,
    datagramsReceived: 17,
    datagramsSent: 18,
    bytesReceived: 19,
    bytesSent: 20,
    sendErrors: 21,
  },
  sessions: {
    connections: 11,
    online: 22,
    opened: 23,
    superseded: 24,
    revoked: 25,
    refused: { busy: 14, opening: 26 },
    cut: { idle: 15, "first-frame": 27 },
  },
  revocationEpoch: 28,
  devices: 29,
  offsets: { earliest: 30, latest: 31 },
  tasks: { waiting: 32, placed: 33, retrying: 34 },
  store: { units: 35, queued: 36, state: "ok" },
  log: {
    earliest: 30,
    latest: 31,
    bytes: 37,
    oldestAt: 1_700_000_000_001,
    fileBytes: 38,
    freeBytes: 39,
    policy: { maxAgeMs: 40, maxBytes: 41, maxEvents: 42 },
    dropped: 43,
    heldBy: [{ owner: "operator", name: "backup" }],
    lapsed: 44,
    clockBehindMs: 45,
    checkedTo: 49,
    damaged: 50,
  },
  ingest: { throttledRate: 46, throttledQuota: 47, waiting: 48 },
};

/** What of the event service most tests do not ask for. */
export const unaskedEvents = {
  quarantined: unused,
  subscribe: unused,
  bounds: unused,
  consume: unused,
  acknowledge: unused,
  subscriptions: unused,
  removeSubscription: unused,
};

/** A diagnosis of which no two facts are equal. */
export const diagnosis: DaemonDiagnosis = {
  now: 1_700_000_000_000,
  pid: 41,
  listening: ["127.0.0.1:7420"],
  maxConnections: 256,
  certificates: [{ name: "leaf", notBefore: 1_700_000_000_001, notAfter: 1_700_000_000_002 }],
  pairing: { wanted: true, pid: undefined, faults: 3, lastFault: "it exited", addresses: ["127.0.0.1:7421"] },
  refused: [
    {
      at: 1_700_000_000_003,
      verdict: "revoked",
      reason: "revoked",
      remote: "192.0.2.7:40000",
      attempt: "a1",
      device: DEVICE_ID,
      detail: undefined,
    },
  ],
};

/** Whatever a test does not expect to be asked. */
export function unused(): never {
  throw new GatewayError("GATEWAY_INTERNAL", "this fake has no such answer");
}

/** A mesh that was never rotated. */
export function fakeMesh(): MeshService {
  const root = (): Promise<MeshRootView> =>
    Promise.resolve({
      meshId: "aaaaaaaaaaaaaaaa",
      meshName: "harbor",
      roots: [{ version: 0, fingerprint: "cd".repeat(32), notAfter: 2e12, issuingNotAfter: 1.9e12, shown: true }],
      phase: "steady",
      overlapUntil: undefined,
      keyIsHere: true,
      devices: 2,
      unaware: [],
      outdated: [],
    });
  const move = { version: 3, at: 1.7e12, addresses: ["b:1"], pairing: ["b:2"], devices: 2, unaware: ["nas"] };
  return {
    root,
    exportRootKey: (passphrase) => Promise.resolve(`sealed with ${passphrase.length} characters`),
    removeRootKey: root,
    renewIssuing: root,
    startRotation: root,
    switchRotation: unused,
    finishRotation: root,
    move: () => Promise.resolve(move),
    lastMove: () => Promise.resolve(undefined),
  };
}

function fakeParts(seen: Seen, over: Partial<OperatorApiParts> = {}): OperatorApiParts {
  return {
    mesh: fakeMesh(),
    daemon: {
      status: () =>
        Promise.resolve({
          meshId: "aaaaaaaaaaaaaaaa",
          meshName: "harbor",
          version: "1.2.3",
          logId: "log-1",
          address: { host: "127.0.0.1", port: 7420 },
          meshAddresses: ["127.0.0.1:7420"],
          rootFingerprint: "cd".repeat(32),
          startedAt: 1_700_000_000_000,
          revocationEpoch: 7,
          devices: 2,
          online: 1,
          lastOffset: 9_007_199_254_740_991,
          connections: 1,
          refused: { revoked: 3 },
          pairingOpen: false,
        }),
      stats: () => Promise.resolve(stats),
      diagnosis: () => diagnosis,
      async *backup({ key }) {
        await Promise.resolve();
        yield Uint8Array.from(key.key.reveal().subarray(0, 2));
        yield Uint8Array.of(3);
      },
      requestStop: () => {
        seen.stopRequests += 1;
      },
    },
    devices: {
      list: () => Promise.resolve([device]),
      get: (name) =>
        name === "build-box"
          ? Promise.resolve(device)
          : Promise.reject(new GatewayError("DEVICE_NOT_FOUND", `no device ${name}`, { metadata: { device: name } })),
      resolve: () => Promise.resolve(DEVICE_ID),
      previewRevocation: () => Promise.resolve({ device, sessions: 1, runningTasks: 1, queuedTasks: 3 }),
      revoke: () => Promise.reject(new Error("a secret in a stack trace")),
      previewSelected: () => Promise.resolve([{ device, sessions: 1, runningTasks: 1, queuedTasks: 3 }]),
      revokeSelected: (selector) => {
        seen.selector = selector;
        return Promise.resolve({ receipts: [], spared: [DEVICE_ID] });
      },
      rotate: () => Promise.resolve({ kind: "pending", why: "offline" }),
      unfreeze: () => Promise.resolve(device),
      enroll: unused,
      addCertificate: unused,
    },
    events: {
      logId: "log-1",
      async *batches(options) {
        try {
          yield { logId: "log-1", events: encodeEvents([event(1), event(2)]), caughtUp: 2 };
          await aborted(options?.signal);
        } finally {
          seen.ended.push("events");
          seen.onEnded();
        }
      },
      ...unaskedEvents,
      subscriptions: () => Promise.resolve([]),
    },
    policies: { current: unused, history: unused, set: unused, check: unused },
    pairing: {
      isOpen: false,
      open: unused,
      watch: unused,
      close: unused,
      windows: () => Promise.resolve([]),
      requests: () => Promise.resolve([]),
      approve: unused,
      deny: unused,
    },
    tasks: {
      submit: (options) => {
        seen.submitted.push(options);
        return Promise.resolve(task({ inputBytes: options.input.length }));
      },
      get: () => Promise.resolve(task()),
      list: () => Promise.resolve([task()]),
      cancel: () => Promise.resolve(task({ state: "cancelled" })),
      async *watch() {
        yield { kind: "task", task: task() };
        const log = { line: 1, attempt: 1, level: "info", message: "hello", time: 1_700_000_000_000 };
        yield { kind: "log", task: task(), log };
        await Promise.resolve();
        yield { kind: "task", task: task({ state: "succeeded", progress: 1 }) };
      },
      async *readOutput() {
        await Promise.resolve();
        // The CBOR map {"total": 3}, in two pieces.
        yield Uint8Array.of(0xa1, 0x65, 0x74, 0x6f);
        yield Uint8Array.of(0x74, 0x61, 0x6c, 0x03);
      },
    },
    ...over,
  };
}

/** A served API; disposing closes it and removes its directory. */
export interface ServedApi extends AsyncDisposable {
  readonly path: string;
  readonly directory: string;
  readonly seen: Seen;
  readonly socket: AdminSocket;
  shutdown(reason: unknown): void;
}

export async function serveFakes(
  options: {
    readonly parts?: (seen: Seen) => Partial<OperatorApiParts>;
    readonly caller?: Caller;
    readonly logger?: Logger;
    readonly maxCalls?: number;
  } = {},
): Promise<ServedApi> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-api-"));
  const path = join(directory, "admin.sock");
  const seen: Seen = { submitted: [], stopRequests: 0, ended: [], onEnded: () => {} };
  const stopping = new AbortController();
  const listener = operatorApi(fakeParts(seen, options.parts?.(seen)), {
    logger: options.logger ?? silentLogger,
    caller: options.caller ?? { role: "admin", name: "admin-socket" },
    shutdownSignal: stopping.signal,
    ...(options.maxCalls !== undefined && { maxCalls: options.maxCalls }),
  });
  const socket = await AdminSocket.listen(path, listener);
  return {
    path,
    directory,
    seen,
    socket,
    shutdown: (reason) => stopping.abort(reason),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await socket.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
