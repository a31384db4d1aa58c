import { encodeValue, type Capability } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { SubmitOptions } from "../../src/tasks/service.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { TaskNode } from "../support/task-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

const WORK: Capability[] = [{ name: "work", concurrency: 1 }];

const submit = (gateway: TestGateway, change: Partial<SubmitOptions> = {}) =>
  gateway.core.tasks.submit({ definition: "work", target: { kind: "any" }, input: encodeValue(1), ...change });

const state = async (gateway: TestGateway, task: string) => (await gateway.core.tasks.get(task)).state;

/** Let time pass in steps until the task is in `wanted`. */
async function passUntil(gateway: TestGateway, clock: FakeClock, task: string, wanted: string): Promise<void> {
  await eventually(async () => {
    clock.advance(1000);
    return (await state(gateway, task)) === wanted;
  });
}

test("heartbeats keep a lease; a node that falls silent has its attempt in unknown, and idempotent work moves on", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const [a, b] = [await gateway.enroll("a"), await gateway.enroll("b")];
  const task = await submit(gateway, { idempotent: true });
  const first = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  const attempt = await first.accept();
  const ref = { taskId: task.taskId, token: 1 };
  for (let beat = 1; beat <= 5; beat++) {
    clock.advance(10_000);
    expect(await first.node.heartbeat(beat, [ref])).toMatchObject({ leaseMs: 30_000, fenced: [] });
  }
  expect(await state(gateway, task.taskId)).toBe("running");
  await first.node.close();
  await eventually(async () => (await state(gateway, task.taskId)) === "unknown");
  const second = await TaskNode.over(await gateway.connect(b, { capabilities: WORK }));
  await passUntil(gateway, clock, task.taskId, "leased");
  const again = await second.accept();
  expect(again.run).toMatchObject({ taskId: task.taskId, attempt: 2, token: 2 });
  // The first node comes back, still at work: it is told that the work is not its own any more, and its result counts for nothing.
  const back = await TaskNode.over(await gateway.connect(a, { capabilities: WORK, running: [ref] }));
  expect(await back.node.heartbeat(1, [ref])).toMatchObject({ fenced: [ref] });
  await back.result(attempt.run, { outcome: "failed", error: { code: "LATE", message: "", retryable: false } });
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ token: 2, error: undefined });
  await second.succeed(again, encodeValue(2));
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ state: "succeeded", deviceName: "b" });
});

test("work that must not run twice waits for its node, and a late result is taken and called late", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const [a, b] = [await gateway.enroll("a"), await gateway.enroll("b")];
  const task = await submit(gateway);
  const node = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  const attempt = await node.accept();
  await eventually(async () => (await state(gateway, task.taskId)) === "running");
  await node.node.close();
  await eventually(async () => (await state(gateway, task.taskId)) === "unknown");
  await gateway.connect(b, { capabilities: WORK });
  const since = (await gateway.core.tasks.get(task.taskId)).stateSince;
  for (let turn = 0; turn < 12; turn++) {
    clock.advance(5000);
    await gateway.store.tasks.due({ now: clock.now(), limit: 1 });
  }
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ state: "unknown", stateSince: since, token: 1 });
  const back = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  await back.result(attempt.run);
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ state: "succeeded", finishedLate: true });
});

test("a gateway that crashed adopts what runs, and dispatches what waits", async () => {
  await using gateway = await testGateway();
  const a = await gateway.enroll("a");
  const running = await submit(gateway);
  const node = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  const attempt = await node.accept();
  await eventually(async () => (await state(gateway, running.taskId)) === "running");
  const waiting = await submit(gateway);
  await gateway.crash();
  expect(await state(gateway, running.taskId)).toBe("unknown");
  const ref = { taskId: running.taskId, token: 1 };
  const back = await TaskNode.over(await gateway.connect(a, { capabilities: WORK, running: [ref] }));
  expect(await state(gateway, running.taskId)).toBe("running");
  expect(await back.node.heartbeat(1, [ref])).toMatchObject({ fenced: [] });
  // Its slot is taken: the task that waits comes when this one is done.
  expect(await state(gateway, waiting.taskId)).toBe("queued");
  await back.result(attempt.run);
  expect(await state(gateway, running.taskId)).toBe("succeeded");
  expect((await back.accept()).run.taskId).toBe(waiting.taskId);
});

test("a cancel while the node is away is final, and its node is fenced when it returns", async () => {
  await using gateway = await testGateway();
  const a = await gateway.enroll("a");
  const task = await submit(gateway);
  const node = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  const attempt = await node.accept();
  await node.node.close();
  await eventually(async () => (await state(gateway, task.taskId)) === "unknown");
  expect(await gateway.core.tasks.cancel(task.taskId)).toMatchObject({ state: "cancelled" });
  const ref = { taskId: task.taskId, token: 1 };
  const back = await TaskNode.over(await gateway.connect(a, { capabilities: WORK, running: [ref] }));
  expect(await back.node.heartbeat(1, [ref])).toMatchObject({ fenced: [ref] });
  await back.result(attempt.run);
  expect(await state(gateway, task.taskId)).toBe("cancelled");
});

test("a cancel of adopted work, which has no stream, reaches its node with the next heartbeat", async () => {
  await using gateway = await testGateway();
  const a = await gateway.enroll("a");
  const task = await submit(gateway);
  const node = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  await node.accept();
  await eventually(async () => (await state(gateway, task.taskId)) === "running");
  const ref = { taskId: task.taskId, token: 1 };
  const back = await TaskNode.over(await gateway.connect(a, { capabilities: WORK, running: [ref] }));
  expect(await gateway.core.tasks.cancel(task.taskId)).toMatchObject({ state: "running", cancelRequested: true });
  expect(await back.node.heartbeat(1, [ref])).toMatchObject({ fenced: [ref] });
  expect(await state(gateway, task.taskId)).toBe("cancelled");
});

test("a task nobody takes is given up at its deadline, and an attempt that never ends at its own", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const a = await gateway.enroll("a");
  const waiting = await submit(gateway, { definition: "nobody does this", queueMs: 5000 });
  await passUntil(gateway, clock, waiting.taskId, "timed-out");
  expect(await gateway.core.tasks.get(waiting.taskId)).toMatchObject({ error: { code: "QUEUE_EXPIRED" } });
  const task = await submit(gateway, { timeoutMs: 5000 });
  const node = await TaskNode.over(await gateway.connect(a, { capabilities: WORK }));
  await node.accept();
  let beat = 0;
  await eventually(async () => {
    clock.advance(5000);
    beat += 1;
    await node.node.heartbeat(beat, [{ taskId: task.taskId, token: 1 }]);
    return (await state(gateway, task.taskId)) === "timed-out";
  });
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ error: { code: "TIMED_OUT" } });
});
