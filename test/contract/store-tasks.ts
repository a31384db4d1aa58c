import type { Store } from "@quaymesh/gateway";
import type { TaskResultData } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { StoreUnderTest } from "./store.ts";
import {
  deviceIdOf,
  enrollInput,
  epochOf,
  LEASE_MS,
  reportOf,
  sessionInput,
  stepTask,
  submitInput,
  T0,
} from "./store-fixtures.ts";

const A = deviceIdOf("A");
const B = deviceIdOf("B");
const TASK = deviceIdOf("T");

async function ready(under: StoreUnderTest): Promise<void> {
  for (const device of [A, B]) {
    await under.store.devices.enroll(enrollInput(device));
    await under.store.sessions.open(sessionInput(device));
  }
}

/** Submit and lease to A. */
async function leased(store: Store, change: Parameters<typeof submitInput>[1] = {}): Promise<void> {
  await store.tasks.submit(submitInput(TASK, change));
  await stepTask(store, TASK, { kind: "lease", device: A, now: T0 });
}

/** Feed task reports as events of a device's outbox. */
async function report(store: Store, deviceId: string, first: number, ...events: ReturnType<typeof reportOf>[]) {
  return await store.events.append({ deviceId, outboxEpoch: epochOf(1), first, events, now: T0 + 1 });
}

const result = (change: Partial<TaskResultData> = {}) =>
  reportOf({
    kind: "task.result",
    data: { taskId: TASK, token: 1, outcome: "succeeded", outputChunks: 0, outputBytes: 0, ...change },
  });

/** Tasks. */
export function taskContract(open: () => Promise<StoreUnderTest>): void {
  describe("submitting", () => {
    test("a committed task is there after a restart, with its input", async () => {
      await using under = await open();
      const input = new Uint8Array(600_000).map((_, index) => index % 251);
      const { store } = under;
      await store.tasks.submit(submitInput(TASK, { input }));
      const again = await under.reopen();
      expect(await again.tasks.get(TASK)).toMatchObject({ state: "queued", inputBytes: 600_000 });
      const pieces: Uint8Array[] = [];
      for (let index = 0; ; index++) {
        const piece = await again.tasks.readInput({ taskId: TASK, index });
        if (piece === undefined) break;
        pieces.push(piece);
      }
      expect(Buffer.concat(pieces).equals(input)).toBe(true);
    });

    test("an idempotency key gives the same task for the same body, and is refused for another", async () => {
      await using under = await open();
      const { tasks } = under.store;
      const keyed = { idempotencyKey: "k", bodyHash: "one" };
      expect((await tasks.submit(submitInput(TASK, keyed))).kind).toBe("created");
      const other = deviceIdOf("U");
      expect(await tasks.submit(submitInput(other, keyed))).toMatchObject({ kind: "existing", task: { taskId: TASK } });
      expect(await tasks.submit(submitInput(other, { ...keyed, bodyHash: "two" }))).toEqual({
        kind: "conflict",
        taskId: TASK,
      });
      // A key belongs to its submitter.
      expect((await tasks.submit(submitInput(other, { ...keyed, submitter: "else" }))).kind).toBe("created");
    });

    test("beyond the bound of unfinished tasks nothing is taken", async () => {
      await using under = await open();
      const { tasks } = under.store;
      await tasks.submit(submitInput(TASK, { maxUnfinished: 1 }));
      expect(await tasks.submit(submitInput(deviceIdOf("U"), { maxUnfinished: 1 }))).toEqual({ kind: "full" });
      await stepTask(under.store, TASK, { kind: "cancel", now: T0 });
      expect((await tasks.submit(submitInput(deviceIdOf("U"), { maxUnfinished: 1 }))).kind).toBe("created");
    });
  });

  describe("leases", () => {
    test("of two leases of one task only the first succeeds", async () => {
      await using under = await open();
      await ready(under);
      await under.store.tasks.submit(submitInput(TASK));
      const leases = await Promise.all(
        [A, B].map((device) => stepTask(under.store, TASK, { kind: "lease", device, now: T0 })),
      );
      expect(leases.map((task) => task?.token)).toEqual([1, undefined]);
      expect(leases[0]).toMatchObject({ state: "leased", deviceId: A, leaseUntil: T0 + LEASE_MS });
    });

    test("a step for a token that is no longer the newest changes nothing", async () => {
      await using under = await open();
      await ready(under);
      await leased(under.store);
      const tick = { kind: "tick", now: T0 + LEASE_MS } as const;
      expect(await stepTask(under.store, TASK, tick, { token: 0 })).toBeUndefined();
      expect(await under.store.tasks.step({ taskId: B, inputs: [tick], leaseMs: 1, now: T0 })).toBeUndefined();
    });

    test("a heartbeat renews the node's own attempt, and fences every other", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      await stepTask(store, TASK, { kind: "accepted", token: 1, now: T0 });
      const at = { leaseMs: LEASE_MS, now: T0 + 1000 };
      const running = [{ taskId: TASK, token: 1, progress: 0.5 }];
      const own = await store.tasks.renew({ deviceId: A, running, ...at });
      expect(own.renewed).toMatchObject([{ state: "running", progress: 0.5, leaseUntil: T0 + 1000 + LEASE_MS }]);
      for (const [deviceId, token] of [
        [B, 1],
        [A, 0],
        [A, 2],
      ] as const) {
        const { fenced, renewed } = await store.tasks.renew({ deviceId, running: [{ taskId: TASK, token }], ...at });
        expect([fenced, renewed]).toEqual([[{ taskId: TASK, token }], []]);
      }
    });

    test("an idempotent task whose lease ran out waits for another attempt with a higher token", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { idempotent: true });
      const now = T0 + LEASE_MS;
      expect(await store.tasks.due({ now: now - 1, limit: 10 })).toEqual([]);
      expect(await store.tasks.due({ now, limit: 10 })).toMatchObject([{ taskId: TASK }]);
      const lost = await stepTask(store, TASK, { kind: "tick", now });
      expect(lost).toMatchObject({ state: "retry-wait", error: { code: "ATTEMPT_LOST" } });
      expect(await stepTask(store, TASK, { kind: "lease", device: B, now })).toBeUndefined();
      expect(await store.tasks.due({ now: now + 1000, limit: 10 })).toMatchObject([{ taskId: TASK }]);
      await stepTask(store, TASK, { kind: "tick", now: now + 1000 });
      const again = await stepTask(store, TASK, { kind: "lease", device: B, now: now + 1000 });
      expect(again).toMatchObject({ token: 2, attempt: 2, deviceId: B });
    });

    test("a task that must not run twice waits for its node's word", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { timeoutMs: 3_600_000 });
      await store.tasks.disconnect({ deviceId: A, now: T0 + 5 });
      const now = T0 + LEASE_MS;
      await stepTask(store, TASK, { kind: "tick", now });
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "unknown", stateSince: T0 + 5 });
      // It was looked at, and is not due again before its deadline.
      expect(await store.tasks.due({ now, limit: 10 })).toEqual([]);
      await report(store, A, 1, result());
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "succeeded", finishedLate: true });
    });

    test("a node that is back without the attempt has lost it, once its outbox had time to say otherwise", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { timeoutMs: 3_600_000 });
      await stepTask(store, TASK, { kind: "accepted", token: 1, now: T0 });
      await store.tasks.disconnect({ deviceId: A, now: T0 + 5 });
      const back = T0 + LEASE_MS;
      await store.tasks.resume({ deviceId: A, running: [], leaseMs: LEASE_MS, now: back });
      expect(await store.tasks.due({ now: back + LEASE_MS - 1, limit: 10 })).toEqual([]);
      const lost = await stepTask(store, TASK, { kind: "tick", now: back + LEASE_MS });
      expect(lost).toMatchObject({ state: "failed", error: { code: "ATTEMPT_LOST" }, nodeDeaths: 1 });
    });

    test("attempts of a gateway that was down are adopted when their node reports them", async () => {
      await using under = await open();
      await ready(under);
      await leased(under.store);
      await stepTask(under.store, TASK, { kind: "accepted", token: 1, now: T0 });
      const store = await under.reopen();
      const later = T0 + 600_000;
      const adopted = await store.tasks.adopt({ leaseMs: LEASE_MS, now: later });
      expect(adopted).toMatchObject([{ state: "unknown", stateSince: later }]);
      expect(await store.tasks.due({ now: later + LEASE_MS - 1, limit: 10 })).toEqual([]);
      const running = [{ taskId: TASK, token: 1 }];
      await store.tasks.resume({ deviceId: A, running, leaseMs: LEASE_MS, now: later + 1 });
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "running", attempt: 1, token: 1 });
    });

    test("a task that nobody took in time is given up, and says it was never sent", async () => {
      await using under = await open();
      const { store } = under;
      await store.tasks.submit(submitInput(TASK, { queueMs: 10 }));
      expect(await store.tasks.due({ now: T0 + 10, limit: 10 })).toHaveLength(1);
      const ended = await stepTask(store, TASK, { kind: "tick", now: T0 + 10 });
      expect(ended).toMatchObject({ state: "timed-out", error: { code: "QUEUE_EXPIRED" }, attempt: 0 });
      expect(await store.tasks.unfinished({ afterTaskId: "", limit: 10 })).toEqual([]);
    });

    test("an attempt the node turned down does not count", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { maxAttempts: 1 });
      const error = { code: "TASK_BUSY", message: "no slot" };
      const back = await stepTask(store, TASK, { kind: "rejected", token: 1, now: T0 }, { error });
      expect(back).toMatchObject({ state: "retry-wait", attempt: 0, error });
    });
  });

  describe("reports", () => {
    test("progress, log lines, output and the result change the task with the commit of their events", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      const ref = { taskId: TASK, token: 1 };
      const appended = await report(
        store,
        A,
        1,
        reportOf({ kind: "task.progress", data: { ...ref, fraction: 0.25, message: "a quarter" } }),
        reportOf({ kind: "task.log", data: { ...ref, level: "info", message: "hello" } }),
        reportOf({ kind: "task.output", data: { ...ref, index: 0, bytes: new Uint8Array([0x82, 1]) } }),
        reportOf({ kind: "task.output", data: { ...ref, index: 1, bytes: new Uint8Array([3]) } }),
      );
      expect(appended).toMatchObject({
        tasks: [{ taskId: TASK, progress: 0.25, progressMessage: "a quarter", logLines: 1 }],
      });
      await report(store, A, 5, result({ outputChunks: 2, outputBytes: 3 }));
      const again = await under.reopen();
      expect(await again.tasks.get(TASK)).toMatchObject({
        state: "succeeded",
        progress: 1,
        outputBytes: 3,
        finishedLate: false,
      });
      expect(await again.tasks.readOutput({ taskId: TASK, index: 0, limit: 9 })).toEqual([
        new Uint8Array([0x82, 1]),
        new Uint8Array([3]),
      ]);
      expect(await again.tasks.readLog({ taskId: TASK, afterLine: 0, limit: 9 })).toMatchObject([
        { line: 1, message: "hello" },
      ]);
      expect(await again.tasks.readInput({ taskId: TASK, index: 0 })).toBeUndefined();
    });

    test("the first result counts; a second one changes nothing", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      const failed = result({ outcome: "failed", error: { code: "BAD", message: "no", retryable: false } });
      expect(await report(store, A, 1, failed)).toMatchObject({ tasks: [{ state: "failed" }] });
      expect(await report(store, A, 2, result())).toMatchObject({ tasks: [], inserted: 1 });
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "failed", error: { code: "BAD" } });
    });

    test("a second result of an attempt that will be retried changes nothing", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      await report(store, A, 1, result({ outcome: "failed", error: { code: "NET", message: "", retryable: true } }));
      expect(await report(store, A, 2, result())).toMatchObject({ tasks: [] });
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "retry-wait" });
    });

    test("a stale token and a stranger are fenced", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { idempotent: true });
      await stepTask(store, TASK, { kind: "tick", now: T0 + LEASE_MS });
      await stepTask(store, TASK, { kind: "tick", now: T0 + 40_000 });
      await stepTask(store, TASK, { kind: "lease", device: B, now: T0 + 40_000 });
      expect(await report(store, A, 1, result())).toMatchObject({ tasks: [] });
      expect(await report(store, A, 2, result({ token: 2 }))).toMatchObject({ tasks: [] });
      expect(await report(store, B, 1, result({ token: 2 }))).toMatchObject({ tasks: [{ state: "succeeded" }] });
    });

    test("progress, log lines and output of a stale attempt or a stranger reach nobody", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      for (const [deviceId, token] of [
        [A, 0],
        [A, 2],
        [B, 1],
      ] as const) {
        const ref = { taskId: TASK, token };
        const watermark = await store.events.watermark({ deviceId, outboxEpoch: epochOf(1) });
        const appended = await report(
          store,
          deviceId,
          watermark + 1,
          reportOf({ kind: "task.progress", data: { ...ref, fraction: 0.9 } }),
          reportOf({ kind: "task.log", data: { ...ref, level: "info", message: "forged" } }),
          reportOf({ kind: "task.output", data: { ...ref, index: 0, bytes: new Uint8Array([9]) } }),
        );
        expect(appended).toMatchObject({ tasks: [], inserted: 3 });
      }
      expect(await store.tasks.get(TASK)).toMatchObject({ progress: 0, logLines: 0, outputBytes: 0 });
    });

    test.each(["retry-wait", "queued"] as const)(
      "a lost attempt whose task is in %s again may still deliver: its output as well as its result",
      async (state) => {
        await using under = await open();
        await ready(under);
        const { store } = under;
        await leased(store, { idempotent: true });
        const now = T0 + LEASE_MS;
        await stepTask(store, TASK, { kind: "tick", now });
        if (state === "queued") await stepTask(store, TASK, { kind: "tick", now: now + 1000 });
        expect(await store.tasks.get(TASK)).toMatchObject({ state, token: 1 });
        const output = { taskId: TASK, token: 1, index: 0, bytes: new Uint8Array([0x01]) };
        await report(store, A, 1, reportOf({ kind: "task.output", data: output }));
        await report(store, A, 2, result({ outputChunks: 1, outputBytes: 1 }));
        expect(await store.tasks.get(TASK)).toMatchObject({ state: "succeeded", finishedLate: true });
        expect(await store.tasks.readOutput({ taskId: TASK, index: 0, limit: 9 })).toEqual([output.bytes]);
      },
    );

    test("a success whose output is not whole is a failure", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      await report(store, A, 1, result({ outputChunks: 1, outputBytes: 3 }));
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "failed", error: { code: "OUTPUT_INCOMPLETE" } });
    });

    test("a task that fails again and again is dead after its last attempt", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store, { maxAttempts: 2 });
      const retryable: Partial<TaskResultData> = {
        outcome: "failed",
        error: { code: "NET", message: "", retryable: true },
      };
      await report(store, A, 1, result(retryable));
      await stepTask(store, TASK, { kind: "tick", now: T0 + 40_000 });
      await stepTask(store, TASK, { kind: "lease", device: A, now: T0 + 40_000 });
      await report(store, A, 2, result({ ...retryable, token: 2 }));
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "dead", error: { code: "NET" }, attempt: 2 });
    });
  });

  describe("cancelling", () => {
    test("what waits ends at once; what runs is asked, and the node's word counts", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      const cancel = { kind: "cancel", now: T0 } as const;
      const asked = await stepTask(store, TASK, cancel, { reason: "enough" });
      expect(asked).toMatchObject({ state: "leased", cancelRequested: true, cancelReason: "enough" });
      await report(store, A, 1, result());
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "succeeded" });
      const late = await store.tasks.step({ taskId: TASK, inputs: [cancel], leaseMs: LEASE_MS, now: T0 });
      expect(late).toMatchObject({ changed: false, effects: [{ kind: "cancel-too-late" }] });
      const waiting = deviceIdOf("W");
      await store.tasks.submit(submitInput(waiting));
      expect(await stepTask(store, waiting, cancel, { reason: "enough" })).toMatchObject({ state: "cancelled" });
    });

    test("what is out of reach is cancelled here and fenced there", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      await leased(store);
      const inputs = [
        { kind: "cancel", now: T0 },
        { kind: "fence", now: T0 },
      ] as const;
      await store.tasks.step({ taskId: TASK, inputs, leaseMs: LEASE_MS, now: T0 });
      expect(await store.tasks.get(TASK)).toMatchObject({ state: "cancelled" });
      const running = [{ taskId: TASK, token: 1 }];
      const { fenced } = await store.tasks.renew({ deviceId: A, running, leaseMs: LEASE_MS, now: T0 });
      expect(fenced).toEqual(running);
      expect(await report(store, A, 1, result())).toMatchObject({ tasks: [] });
    });
  });
}
