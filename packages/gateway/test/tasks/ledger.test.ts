import type { TaskInput } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { isTerminal, type TaskRow } from "../../src/store/rows.ts";
import { isWithNode, stepRow } from "../../src/tasks/ledger.ts";

const T0 = 1_800_000_000_000;
const LEASE_MS = 30_000;

function queued(change: Partial<TaskRow> = {}): TaskRow {
  return {
    taskId: "01JTTTTTTTTTTTTTTTTTTTTTTT",
    definition: "work",
    target: { kind: "any" },
    state: "queued",
    createdAt: T0,
    stateSince: T0,
    deviceId: undefined,
    attempt: 0,
    token: 0,
    nodeDeaths: 0,
    progress: 0,
    progressMessage: "",
    inputBytes: 1,
    outputBytes: 0,
    error: undefined,
    finishedLate: false,
    cancelRequested: false,
    cancelReason: "",
    fenced: false,
    gone: false,
    accepted: false,
    leaseUntil: undefined,
    attemptDeadline: undefined,
    queueDeadline: T0 + 3_600_000,
    retryAt: undefined,
    dueAt: T0 + 3_600_000,
    timeoutMs: 600_000,
    queueMs: 3_600_000,
    exclusive: false,
    idempotent: false,
    maxAttempts: 3,
    logLines: 0,
    ...change,
  };
}

const device = fc.constantFrom("A", "B");
const token = fc.integer({ min: 0, max: 5 });
const outcome = fc.constantFrom(
  "succeeded" as const,
  "failed" as const,
  "cancelled" as const,
  "timed-out" as const,
  "lease-lost" as const,
);

/** Anything that can happen, after some time. */
const happening: fc.Arbitrary<{ readonly afterMs: number; readonly input: (now: number) => TaskInput }> = fc.record({
  afterMs: fc.constantFrom(0, 1, 1000, 10_000, 31_000, 700_000),
  input: fc.oneof(
    device.map((to) => (now: number): TaskInput => ({ kind: "lease", device: to, now })),
    token.map((of) => (now: number): TaskInput => ({ kind: "accepted", token: of, now })),
    token.map((of) => (now: number): TaskInput => ({ kind: "rejected", token: of, now })),
    token.map((of) => (now: number): TaskInput => ({ kind: "broken-off", token: of, now })),
    fc.record({ token, device }).map((by) => (now: number): TaskInput => ({ kind: "unlisted", ...by, now })),
    fc.record({ token, device }).map((by) => (now: number): TaskInput => ({ kind: "renew", ...by, now })),
    fc.constant((now: number): TaskInput => ({ kind: "node-lost", now })),
    fc.constant((now: number): TaskInput => ({ kind: "node-back-without", now })),
    fc.record({ token, device, outcome, retryable: fc.boolean() }).map((said) => (now: number): TaskInput => ({
      kind: "result",
      ...said,
      now,
    })),
    fc.constant((now: number): TaskInput => ({ kind: "cancel", now })),
    fc.constant((now: number): TaskInput => ({ kind: "fence", now })),
    fc.constant((now: number): TaskInput => ({ kind: "tick", now })),
  ),
});

test("whatever happens to a task, its row keeps its promises", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(happening, { maxLength: 40 }), (idempotent, happenings) => {
      let row = queued({ idempotent });
      let now = T0;
      for (const { afterMs, input } of happenings) {
        now += afterMs;
        const before = row;
        const step = stepRow(row, input(now), { leaseMs: LEASE_MS, now });
        row = step.task;
        // An ended task is ended for good.
        if (isTerminal(before.state)) expect(row.state).toBe(before.state);
        // Tokens never go back, and each lease has its own.
        expect(row.token - before.token).toBe(
          step.changed && row.state === "leased" && before.state === "queued" ? 1 : 0,
        );
        // What is unfinished is looked at again; what has ended never is.
        expect(row.dueAt === undefined).toBe(isTerminal(row.state));
        expect(isWithNode(row)).toBe(row.leaseUntil !== undefined);
        if (!step.changed) expect(row).toEqual(before);
      }
    }),
    { numRuns: 2000 },
  );
});

test("time alone brings every task to an end, or back to the queue where it may be given up", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(happening, { maxLength: 20 }), (idempotent, happenings) => {
      let row = queued({ idempotent });
      let now = T0;
      for (const { afterMs, input } of happenings) {
        now += afterMs;
        row = stepRow(row, input(now), { leaseMs: LEASE_MS, now }).task;
      }
      let ticks = 0;
      while (row.dueAt !== undefined) {
        now = Math.max(now, row.dueAt);
        row = stepRow(row, { kind: "tick", now }, { leaseMs: LEASE_MS, now }).task;
        ticks += 1;
        expect(ticks).toBeLessThan(10);
      }
      expect(isTerminal(row.state)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test("each end says why, in words a program can tell apart", () => {
  const at = (row: TaskRow, input: TaskInput, now: number) => stepRow(row, input, { leaseMs: LEASE_MS, now }).task;
  const leased = at(queued(), { kind: "lease", device: "A", now: T0 }, T0);
  const result = { kind: "result", token: 1, device: "A", retryable: false, now: T0 } as const;
  expect(at(queued(), { kind: "tick", now: T0 + 3_600_000 }, T0 + 3_600_000).error?.code).toBe("QUEUE_EXPIRED");
  expect(at(leased, { kind: "tick", now: T0 + 700_000 }, T0 + 700_000).error?.code).toBe("TIMED_OUT");
  expect(at(leased, { ...result, outcome: "lease-lost" }, T0).error?.code).toBe("LEASE_LOST");
  expect(at(leased, { ...result, outcome: "failed" }, T0).error?.code).toBe("FAILED");
  expect(at(leased, { ...result, outcome: "succeeded" }, T0).error).toBeUndefined();
});
