import { encodeValue, type TaskRun } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTask } from "../src/index.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import { Attempt } from "../src/tasks/attempt.ts";
import { AttemptReports } from "../src/tasks/reports.ts";
import { CrashingFiles } from "./support/crashing-files.ts";
import { TASK_ID } from "./support/fake-gateway.ts";
import { ManualClock, settle } from "./support/manual-clock.ts";

const endless = defineTask({
  name: "endless",
  input: z.null(),
  output: z.null(),
  run: (_, { signal }) =>
    new Promise<null>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
});

async function open(own: Partial<TaskRun>) {
  const clock = new ManualClock();
  const outbox = await Outbox.open({ directory: "/outbox", files: new CrashingFiles() });
  const reports = new AttemptReports({ taskId: TASK_ID, token: 1 }, { outbox, clock, onUrgent: () => {} });
  const run: TaskRun = {
    v: 1,
    method: "task.run",
    taskId: TASK_ID,
    definition: "endless",
    attempt: 1,
    token: 1,
    leaseMs: 30_000,
    timeoutMs: 3_600_000,
    exclusive: false,
    idempotent: false,
    inputBytes: encodeValue(null).length,
    ...own,
  };
  const attempt = new Attempt({ run, definition: endless, input: null, reports, clock, emit: async () => 0 });
  return {
    attempt,
    clock,
    result: attempt.perform(),
    async [Symbol.asyncDispose]() {
      attempt.dispose();
      await outbox.close();
    },
  };
}

describe("an attempt's lease", () => {
  it("is left at four fifths by work that may not run twice", async () => {
    await using it = await open({});
    await it.clock.advance(23_999);
    expect(it.attempt.signal.aborted).toBe(false);
    await it.clock.advance(1);
    expect(await it.result).toMatchObject({ outcome: "lease-lost" });
  });

  it("counts from when the heartbeat that renewed it was sent, not from its answer", async () => {
    await using it = await open({});
    await it.clock.advance(10_000);
    const heartbeatAt = it.clock.monotonic();
    await it.clock.advance(9000);
    it.attempt.renew(heartbeatAt, 30_000);
    await it.clock.advance(14_999);
    expect(it.attempt.signal.aborted).toBe(false);
    await it.clock.advance(1);
    expect(await it.result).toMatchObject({ outcome: "lease-lost" });
  });

  it("is not shortened by an answer that was overtaken", async () => {
    await using it = await open({});
    it.attempt.renew(20_000, 30_000);
    it.attempt.renew(10_000, 30_000);
    await it.clock.advance(43_999);
    expect(it.attempt.signal.aborted).toBe(false);
  });

  it("does not matter to work that may run twice; its time limit does", async () => {
    await using it = await open({ idempotent: true, timeoutMs: 100_000 });
    await it.clock.advance(99_999);
    expect(it.attempt.signal.aborted).toBe(false);
    await it.clock.advance(1);
    expect(await it.result).toMatchObject({ outcome: "timed-out" });
  });

  it("goes by monotonic time: a wall clock that jumps ends nothing", async () => {
    await using it = await open({});
    it.clock.suspend(86_400_000);
    await settle();
    expect(it.attempt.signal.aborted).toBe(false);
    it.attempt.abort("cancelled", "enough");
    expect(await it.result).toMatchObject({ outcome: "cancelled" });
  });
});
