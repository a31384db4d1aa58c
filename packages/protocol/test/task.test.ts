import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isLeased,
  isTerminal,
  queueTask,
  stepTask,
  TASK_LIMITS,
  type AttemptOutcome,
  type Task,
  type TaskInput,
} from "@quaymesh/protocol";

function feed(start: Task, ...inputs: TaskInput[]) {
  let step = stepTask(start, { kind: "tick", now: 0 });
  for (const input of inputs) step = stepTask(step.state, input);
  return step;
}

const fresh = (options: { idempotent?: boolean; timeoutMs?: number } = {}) =>
  queueTask({ idempotent: options.idempotent ?? true, timeoutMs: options.timeoutMs ?? 600_000 });
const lease = (now = 0, device = "A"): TaskInput => ({ kind: "lease", device, now });
const accepted = (token: number, now = 0): TaskInput => ({ kind: "accepted", token, now });
const renew = (token: number, now: number, device = "A"): TaskInput => ({ kind: "renew", token, device, now });
const result = (token: number, outcome: AttemptOutcome, now = 0, device = "A", retryable = false): TaskInput => ({
  kind: "result",
  token,
  device,
  outcome,
  retryable,
  now,
});
const tick = (now: number): TaskInput => ({ kind: "tick", now });
const lost = (now: number): TaskInput => ({ kind: "node-lost", now });
const stored = { kind: "completion", verdict: { kind: "stored" } };
const fenced = (token: number) => ({ kind: "completion", verdict: { kind: "fenced", token } });

describe("task table", () => {
  it("leases, runs and succeeds", () => {
    const leased = feed(fresh(), lease(1000));
    expect(leased.effects).toEqual([
      { kind: "send", device: "A", token: 1, attempt: 1, leaseMs: 30_000, timeoutMs: 600_000 },
      { kind: "schedule", at: 31_000 },
    ]);
    const running = feed(leased.state, accepted(1));
    expect(running.state.kind).toBe("running");
    const renewed = feed(running.state, renew(1, 11_000));
    expect(renewed.effects[0]).toEqual({ kind: "renewed", token: 1, leaseEndsAt: 41_000 });
    const done = feed(renewed.state, result(1, "succeeded", 12_000));
    expect(done.effects).toEqual([stored]);
    expect(done.state).toMatchObject({ kind: "succeeded", at: 12_000, late: false });
  });

  it.each<[AttemptOutcome, Task["kind"]]>([
    ["succeeded", "succeeded"],
    ["failed", "failed"],
    ["cancelled", "cancelled"],
    ["timed-out", "timed-out"],
    ["lease-lost", "retry-wait"],
  ])("a result that says %s makes it %s", (outcome, kind) => {
    expect(feed(fresh(), lease(), accepted(1), result(1, outcome)).state.kind).toBe(kind);
  });

  it("only a queued task can be leased, and each lease has its own token", () => {
    const leased = feed(fresh(), lease());
    expect(feed(leased.state, lease(5, "B"))).toEqual({ state: leased.state, effects: [] });
    const again = feed(leased.state, accepted(1), tick(30_000), tick(31_000), lease(31_000, "B"));
    expect(again.state).toMatchObject({ kind: "leased", token: 2, device: "B", attempts: 2 });
  });

  it("stores one result: a second of the same lease is a duplicate, whatever it says", () => {
    const done = feed(fresh(), lease(), accepted(1), result(1, "succeeded", 5));
    const again = feed(done.state, result(1, "failed", 9));
    expect(again.effects).toEqual([{ kind: "completion", verdict: { kind: "duplicate", outcome: "succeeded" } }]);
    expect(again.state).toEqual(done.state);
  });

  it("fences whoever holds no lease: an old token, a guessed one, another device", () => {
    const second = feed(fresh(), lease(), accepted(1), tick(30_000), tick(31_000), lease(31_000, "B"));
    for (const [input, token] of [
      [result(1, "succeeded", 40_000, "A"), 1],
      [result(3, "succeeded", 40_000, "B"), 3],
      [result(2, "succeeded", 40_000, "A"), 2],
      [result(0, "succeeded", 40_000, "B"), 0],
    ] as const) {
      expect(feed(second.state, input)).toEqual({ state: second.state, effects: [fenced(token)] });
    }
    expect(feed(second.state, renew(1, 40_000)).effects).toEqual([{ kind: "fenced", token: 1 }]);
    expect(feed(second.state, renew(2, 40_000, "A")).effects).toEqual([{ kind: "fenced", token: 2 }]);
    expect(feed(fresh(), result(0, "succeeded")).effects).toEqual([fenced(0)]);
  });

  it("a node out of reach makes it unknown, not failed, and its word makes it running again", () => {
    const unknown = feed(fresh(), lease(), accepted(1), lost(5000));
    expect(unknown.state).toMatchObject({ kind: "unknown", since: 5000, gone: false, accepted: true });
    expect(feed(unknown.state, renew(1, 9000)).state).toMatchObject({ kind: "running", leaseEndsAt: 39_000 });
    expect(feed(fresh(), lease(), lost(5000)).state).toMatchObject({ kind: "unknown", accepted: false });
  });

  it("takes a late result after unknown, and even while a retry waits, and says that it was late", () => {
    const unknown = feed(fresh(), lease(), accepted(1), lost(5000));
    expect(feed(unknown.state, result(1, "succeeded", 20_000)).state).toMatchObject({ kind: "succeeded", late: true });
    const waiting = feed(unknown.state, tick(30_000));
    expect(waiting.state.kind).toBe("retry-wait");
    const late = feed(waiting.state, result(1, "succeeded", 30_500));
    expect(late.state).toMatchObject({ kind: "succeeded", late: true });
    expect(feed(waiting.state, result(1, "succeeded", 30_500, "B")).effects).toEqual([fenced(1)]);
    expect(feed(waiting.state, result(1, "lease-lost", 30_500))).toEqual({ state: waiting.state, effects: [stored] });
  });

  it("work that must not run twice waits for its node until its time is up", () => {
    const unknown = feed(
      fresh({ idempotent: false, timeoutMs: 100_000 }),
      lease(),
      accepted(1),
      lost(5000),
      tick(30_000),
    );
    expect(unknown.state.kind).toBe("unknown");
    expect(feed(unknown.state, result(1, "succeeded", 90_000)).state).toMatchObject({ kind: "succeeded", late: true });
    expect(feed(unknown.state, tick(130_000)).state.kind).toBe("timed-out");
    const gone = feed(unknown.state, { kind: "node-back-without", now: 40_000 }, tick(40_001));
    expect(gone.state).toMatchObject({ kind: "failed", reason: "lost", kills: 1 });
  });

  it("a result in the outbox of a node that crashed is waited for until the lease ends", () => {
    const back = feed(fresh(), lease(), accepted(1), lost(1000), { kind: "node-back-without", now: 2000 }, tick(3000));
    expect(back.state).toMatchObject({ kind: "unknown", gone: true });
    expect(feed(back.state, result(1, "succeeded", 4000)).state.kind).toBe("succeeded");
  });

  it("an attempt that never reached its node has not taken it down", () => {
    const gone = feed(fresh(), lease(), { kind: "node-back-without", now: 2000 }, tick(30_000));
    expect(gone.state).toMatchObject({ kind: "retry-wait", kills: 0, attempts: 1 });
  });

  it("is dead after two attempts that took their node down", () => {
    let task = fresh();
    for (let kills = 1; kills <= TASK_LIMITS.maxKills; kills++) {
      const now = kills * 1_000_000;
      const token = task.token + 1;
      task = feed(task, lease(now), accepted(token), { kind: "node-back-without", now }, tick(now + 30_000)).state;
      expect(task.kills).toBe(kills);
      if (task.kind === "retry-wait") task = feed(task, tick(now + 900_000)).state;
    }
    expect(task).toMatchObject({ kind: "dead", reason: "kills", attempts: 2 });
  });

  it("is dead after five attempts that failed and might be retried, each later than the one before", () => {
    let task = fresh();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= TASK_LIMITS.maxAttempts; attempt++) {
      const now = attempt * 1_000_000;
      const step = feed(task, lease(now), accepted(attempt), result(attempt, "failed", now, "A", true));
      expect(step.effects).toContainEqual(stored);
      task = step.state;
      if (task.kind !== "retry-wait") break;
      waits.push(task.until - now);
      task = feed(task, tick(task.until - 1)).state;
      expect(task.kind).toBe("retry-wait");
      task = feed(task, tick(now + 999_999)).state;
      expect(task.kind).toBe("queued");
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    expect(task).toMatchObject({ kind: "dead", reason: "attempts", attempts: 5 });
  });

  it("a rejected attempt did nothing and counts for nothing, but its token is used up", () => {
    const rejected = feed(fresh(), lease(), { kind: "rejected", token: 1, now: 10 });
    expect(rejected.state).toMatchObject({ kind: "retry-wait", attempts: 0, token: 1 });
    expect(feed(rejected.state, tick(2000), lease(2000)).state).toMatchObject({
      kind: "leased",
      attempts: 1,
      token: 2,
    });
  });

  it("the first terminal state wins the race between cancel and result", () => {
    expect(feed(fresh(), { kind: "cancel", now: 3 }).state).toMatchObject({ kind: "cancelled", at: 3 });
    const asked = feed(fresh(), lease(), accepted(1), { kind: "cancel", now: 5 });
    expect(asked.effects).toEqual([
      { kind: "cancel-attempt", device: "A", token: 1 },
      { kind: "schedule", at: 30_000 },
    ]);
    expect(feed(asked.state, result(1, "succeeded", 6)).state.kind).toBe("succeeded");
    expect(feed(asked.state, result(1, "cancelled", 6), result(1, "succeeded", 7)).effects).toEqual([
      { kind: "completion", verdict: { kind: "duplicate", outcome: "cancelled" } },
    ]);
    const done = feed(fresh(), lease(), accepted(1), result(1, "succeeded", 6));
    expect(feed(done.state, { kind: "cancel", now: 7 })).toEqual({
      state: done.state,
      effects: [{ kind: "cancel-too-late" }],
    });
  });

  it("a cancel is repeated to a node that comes back, and settles an attempt that never does", () => {
    const asked = feed(fresh(), lease(), accepted(1), lost(10), { kind: "cancel", now: 20 });
    expect(feed(asked.state, renew(1, 1000)).effects).toContainEqual({ kind: "cancel-attempt", device: "A", token: 1 });
    expect(feed(asked.state, tick(30_000)).state.kind).toBe("cancelled");
    expect(feed(fresh(), lease(), { kind: "cancel", now: 1 }, { kind: "rejected", token: 1, now: 2 }).state.kind).toBe(
      "cancelled",
    );
  });

  it("a revoked device's word counts for nothing from then on", () => {
    const revoked = feed(fresh(), lease(), accepted(1), { kind: "fence", now: 50 });
    expect(revoked.state).toMatchObject({ kind: "retry-wait", holder: undefined });
    expect(feed(revoked.state, result(1, "succeeded", 60)).effects).toEqual([fenced(1)]);
    const waiting = feed(fresh(), lease(), accepted(1), lost(5), tick(30_000), { kind: "fence", now: 30_001 });
    expect(feed(waiting.state, result(1, "succeeded", 30_002)).effects).toEqual([fenced(1)]);
    expect(feed(fresh({ idempotent: false }), lease(), accepted(1), { kind: "fence", now: 50 }).state).toMatchObject({
      kind: "failed",
      reason: "lost",
    });
  });

  it("a cancelled attempt ends with its lease, whatever its node goes on to say", () => {
    const asked = feed(
      fresh({ idempotent: false }),
      lease(),
      accepted(1),
      { kind: "cancel", now: 5 },
      renew(1, 20_000),
    );
    expect(asked.effects).toContainEqual({ kind: "cancel-attempt", device: "A", token: 1 });
    expect(feed(asked.state, tick(29_999)).state.kind).toBe("running");
    expect(feed(asked.state, tick(30_000)).state.kind).toBe("cancelled");
  });

  it("an attempt whose stream breaks off before the node accepted it is tried again, but not for ever", () => {
    const broken = (token: number, now: number): TaskInput => ({ kind: "broken-off", token, now });
    let state = fresh({ idempotent: false });
    let now = 0;
    const waits: number[] = [];
    while (!isTerminal(state)) {
      state = feed(state, lease(now), broken(state.token + 1, now)).state;
      if (state.kind !== "retry-wait") break;
      waits.push(state.until - now);
      now = state.until;
      state = feed(state, tick(now)).state;
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    expect(state).toMatchObject({ kind: "dead", reason: "attempts", attempts: TASK_LIMITS.maxAttempts });
    const running = feed(fresh(), lease(), accepted(1));
    expect(feed(running.state, broken(1, 5)).state).toBe(running.state);
    expect(feed(fresh(), lease(), broken(2, 5)).state.kind).toBe("leased");
    expect(feed(fresh(), lease(), { kind: "cancel", now: 1 }, broken(1, 5)).state.kind).toBe("cancelled");
  });

  it("an attempt that its node does not run any more, and of which no result came, is lost, but killed nobody", () => {
    const unlisted = (token: number, device = "A"): TaskInput => ({ kind: "unlisted", token, device, now: 1000 });
    const once = feed(fresh({ idempotent: false }), lease(), accepted(1));
    expect(feed(once.state, unlisted(1)).state).toMatchObject({ kind: "failed", reason: "lost", kills: 0 });
    const again = feed(fresh(), lease(), accepted(1), unlisted(1));
    expect(again.state).toMatchObject({ kind: "retry-wait", kills: 0, attempts: 1 });
    expect(feed(again.state, result(1, "succeeded", 2000)).state).toMatchObject({ kind: "succeeded", late: true });
    expect(feed(once.state, unlisted(2)).state).toBe(once.state);
    expect(feed(once.state, unlisted(1, "B")).state).toBe(once.state);
    expect(feed(once.state, { kind: "cancel", now: 1 }, unlisted(1)).state.kind).toBe("cancelled");
    const gone = feed(once.state, lost(5), { kind: "node-back-without", now: 10 });
    expect(feed(gone.state, { kind: "node-back-without", now: 20 }).state).toEqual(gone.state);
  });

  it("a node in reach is told to stop at the deadline, and nothing it says afterwards saves the attempt", () => {
    const start = [lease(0), accepted(1), renew(1, 15_000)] as const;
    const due = feed(fresh({ timeoutMs: 20_000 }), ...start, tick(20_000));
    expect(due.state.kind).toBe("running");
    expect(due.effects).toEqual([
      { kind: "cancel-attempt", device: "A", token: 1 },
      { kind: "schedule", at: 50_000 },
    ]);
    for (const outcome of ["succeeded", "failed", "cancelled", "timed-out", "lease-lost"] as const) {
      const late = feed(due.state, result(1, outcome, 20_001));
      expect(late.state.kind).toBe("timed-out");
      expect(late.effects).toEqual([stored]);
    }
    expect(feed(due.state, renew(1, 25_000)).effects).toContainEqual({ kind: "cancel-attempt", device: "A", token: 1 });
    expect(feed(due.state, { kind: "fence", now: 25_000 }).state.kind).toBe("timed-out");
    const asked = feed(due.state, { kind: "cancel", now: 21_000 }, result(1, "cancelled", 21_001));
    expect(asked.state.kind).toBe("cancelled");
    expect(feed(fresh({ timeoutMs: 20_000 }), ...start, result(1, "succeeded", 19_999)).state.kind).toBe("succeeded");
  });

  it("a node out of reach at the deadline may have finished in time: its success counts, and is called late", () => {
    const away = feed(fresh({ timeoutMs: 20_000 }), lease(0), accepted(1), lost(5000), tick(20_000));
    expect(away.effects).toEqual([{ kind: "schedule", at: 50_000 }]);
    expect(feed(away.state, result(1, "succeeded", 49_000)).state).toMatchObject({ kind: "succeeded", late: true });
    expect(feed(away.state, result(1, "cancelled", 49_000)).state.kind).toBe("timed-out");
    const over = feed(away.state, tick(50_000), result(1, "succeeded", 50_001));
    expect(over.state.kind).toBe("timed-out");
    expect(over.effects).toEqual([{ kind: "completion", verdict: { kind: "duplicate", outcome: "timed-out" } }]);
  });

  it("an attempt that never reports is timed out a lease after its deadline", () => {
    let { state } = feed(fresh({ timeoutMs: 20_000 }), lease(0), accepted(1), renew(1, 15_000), renew(1, 40_000));
    state = feed(state, tick(49_999)).state;
    expect(state.kind).toBe("running");
    const over = feed(state, tick(50_000));
    expect(over.state.kind).toBe("timed-out");
    expect(over.effects).toEqual([{ kind: "cancel-attempt", device: "A", token: 1 }]);
  });
});

describe("task table, whatever happens", () => {
  const input = fc.record({
    kind: fc.constantFrom<TaskInput["kind"]>(
      "lease",
      "accepted",
      "rejected",
      "broken-off",
      "unlisted",
      "renew",
      "node-lost",
      "node-back-without",
      "result",
      "cancel",
      "fence",
      "tick",
    ),
    device: fc.constantFrom("A", "B"),
    token: fc.integer({ min: 0, max: 7 }),
    outcome: fc.constantFrom<AttemptOutcome>("succeeded", "failed", "cancelled", "timed-out", "lease-lost"),
    retryable: fc.boolean(),
    waitMs: fc.integer({ min: 0, max: 40_000 }),
    current: fc.boolean(),
  });

  it("tokens only grow with leases, ends are final, one result is stored, no limit is passed, nothing runs twice that must not", () => {
    fc.assert(
      fc.property(fc.array(input, { maxLength: 80 }), fc.boolean(), (inputs, idempotent) => {
        let task: Task = fresh({ idempotent, timeoutMs: 200_000 });
        let now = 0;
        let settledResults = 0;
        let freedBy: TaskInput["kind"] | undefined;
        for (const { waitMs, current, ...raw } of inputs) {
          now += waitMs;
          // Half of the inputs speak of the newest token, or few would get anywhere.
          const before: Task = task;
          const step = stepTask(task, { ...raw, token: current ? before.token : raw.token, now });
          task = step.state;
          const leased = !isLeased(before) && isLeased(task);
          expect(task.token).toBe(before.token + (leased ? 1 : 0));
          if (leased) expect(before.kind).toBe("queued");
          if (isTerminal(before)) expect({ ...task, holder: before.holder }).toEqual(before);
          const storedNow = step.effects.some(
            (effect) => effect.kind === "completion" && effect.verdict.kind === "stored",
          );
          if (storedNow) expect(raw.device).toBe(before.holder);
          if (storedNow && isTerminal(task)) settledResults++;
          expect(task.attempts).toBeLessThanOrEqual(TASK_LIMITS.maxAttempts);
          expect(task.attempts).toBeGreaterThanOrEqual(0);
          expect(task.kills).toBeLessThanOrEqual(TASK_LIMITS.maxKills);
          // Only the node's own word that nothing was done, or that more may be tried, frees such work for another
          // attempt.
          if (isLeased(before) && !isLeased(task)) freedBy = raw.kind;
          if (!idempotent && leased) expect([undefined, "rejected", "broken-off", "result"]).toContain(freedBy);
        }
        expect(settledResults).toBeLessThanOrEqual(1);
      }),
      { numRuns: 3000 },
    );
  });
});
