/** However an attempt ends, its slot comes free: after each ending the node takes new work. */
import { encodeValue, parseTaskToNode, type Capability } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { SubmitOptions } from "../../src/tasks/service.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import type { TaskStream } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";
import { TaskNode } from "../support/task-node.ts";

const WORK: Capability[] = [{ name: "work", concurrency: 1 }];

const submit = (gateway: TestGateway, change: Partial<SubmitOptions> = {}) =>
  gateway.core.tasks.submit({ definition: "work", target: { kind: "any" }, input: encodeValue(1), ...change });

const get = (gateway: TestGateway, task: string) => gateway.core.tasks.get(task);

async function scene(clock: FakeClock) {
  const gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const node = await TaskNode.over(await gateway.connect(device, { capabilities: WORK }));
  let beat = 0;
  return {
    gateway,
    node,
    /** Let a second pass, and the node say what it runs. */
    async pass(running: { readonly taskId: string; readonly token: number }[] = []) {
      clock.advance(1000);
      beat += 1;
      return await node.node.heartbeat(beat, [...running]);
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

/** The one slot is free: the next task comes, and runs. */
async function takesWork(gateway: TestGateway, node: TaskNode): Promise<void> {
  const next = await submit(gateway);
  const attempt = await node.accept();
  expect(attempt.run.taskId).toBe(next.taskId);
  await node.succeed(attempt, encodeValue(1));
  expect(await get(gateway, next.taskId)).toMatchObject({ state: "succeeded", finishedLate: false });
}

const BREAKS: readonly [string, (attempt: TaskStream) => unknown, string][] = [
  ["an error frame", ({ stream }) => stream.fail({ code: "NO_DISK", message: "full" }), "NO_DISK"],
  ["a reset", ({ stream }) => stream.reset(7), "STREAM_BROKEN_OFF"],
  [
    "a message nobody can read",
    ({ stream }) => stream.sendFrame(new Uint8Array([0, 0, 0, 1, 0xff])),
    "STREAM_BROKEN_OFF",
  ],
];

test.each(BREAKS)(
  "an attempt whose stream ends by %s before it is accepted is tried again, and given up",
  async (_, end, code) => {
    const clock = new FakeClock();
    await using it = await scene(clock);
    const { gateway, node } = it;
    const task = await submit(gateway, { maxAttempts: 2 });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const stream = await node.node.nextTask();
      expect(stream.run).toMatchObject({ taskId: task.taskId, attempt, token: attempt });
      await end(stream);
      const wanted = attempt === 1 ? "retry-wait" : "dead";
      await eventually(async () => (await get(gateway, task.taskId)).state === wanted);
      if (attempt === 1) clock.advance(2000);
    }
    expect(await get(gateway, task.taskId)).toMatchObject({ attempt: 2, error: { code } });
    await takesWork(gateway, node);
  },
);

test("an attempt that ends without its result is lost a lease after its node has stopped naming it", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway);
  const { run, stream } = await node.accept();
  await eventually(async () => (await get(gateway, task.taskId)).state === "running");
  const ref = { taskId: run.taskId, token: run.token };
  await it.pass([ref]);
  await stream.end({ type: "finished", seq: 1 });
  for (let second = 0; second < 29; second++) await it.pass();
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "running" });
  await eventually(async () => {
    await it.pass();
    return (await get(gateway, task.taskId)).state === "failed";
  });
  expect(await get(gateway, task.taskId)).toMatchObject({ error: { code: "RESULT_MISSING" }, nodeDeaths: 0 });
  await takesWork(gateway, node);
});

test("a result that comes while its attempt is looked for counts as in time", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway);
  const attempt = await node.accept();
  await eventually(async () => (await get(gateway, task.taskId)).state === "running");
  for (let second = 0; second < 5; second++) await it.pass();
  await node.succeed(attempt, encodeValue(1));
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "succeeded", finishedLate: false });
  await takesWork(gateway, node);
});

const UNREADABLE: readonly [string, object][] = [
  ["an outcome nobody knows", { outcome: "exploded", outputChunks: 0, outputBytes: 0 }],
  ["a failure without an error", { outcome: "failed", outputChunks: 0, outputBytes: 0 }],
  ["nothing", {}],
];

test.each(UNREADABLE)("a result that says %s is a failure of its node", async (_, result) => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway, { idempotent: true });
  const { run } = await node.accept();
  await node.report({ kind: "task.result", data: { taskId: run.taskId, token: run.token, ...result } });
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "failed", error: { code: "RESULT_INVALID" } });
  await takesWork(gateway, node);
});

test("a success whose output is no value is a failure of its node", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway);
  await node.succeed(await node.accept(), new Uint8Array([0xff, 0xff]));
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "failed", error: { code: "OUTPUT_INVALID" } });
  await takesWork(gateway, node);
});

test("a cancel that the node does not heed ends with the lease, and the node is told that it lost it", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway);
  const { run, stream } = await node.accept();
  await eventually(async () => (await get(gateway, task.taskId)).state === "running");
  await gateway.core.tasks.cancel(task.taskId, { reason: "enough" });
  expect(await stream.expect(parseTaskToNode)).toEqual({ type: "cancel", reason: "enough" });
  const ref = { taskId: run.taskId, token: run.token };
  let seconds = 0;
  await eventually(async () => {
    seconds += 1;
    await it.pass([ref]);
    return (await get(gateway, task.taskId)).state === "cancelled";
  });
  expect(seconds).toBeLessThan(40);
  expect(await it.pass([ref])).toMatchObject({ fenced: [ref] });
  await takesWork(gateway, node);
});

test("at its deadline a node is told to stop, and a success that comes later is not taken", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  const task = await submit(gateway, { timeoutMs: 5000 });
  const attempt = await node.accept();
  await eventually(async () => (await get(gateway, task.taskId)).state === "running");
  const ref = { taskId: attempt.run.taskId, token: attempt.run.token };
  for (let second = 0; second < 4; second++) await it.pass([ref]);
  const told = attempt.stream.expect(parseTaskToNode);
  let heard = false;
  void told.then(() => {
    heard = true;
  });
  await eventually(async () => {
    await it.pass([ref]);
    return heard;
  });
  expect(await told).toEqual({ type: "cancel", reason: "timed out" });
  await node.succeed(attempt, encodeValue("late"));
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "timed-out", error: { code: "TIMED_OUT" } });
  await takesWork(gateway, node);
});

test("a stream whose last message was read is ended by one, not reset", async () => {
  const clock = new FakeClock();
  await using it = await scene(clock);
  const { gateway, node } = it;
  await submit(gateway);
  const done = await node.accept();
  await node.succeed(done, encodeValue(1));
  expect(await done.stream.expect(parseTaskToNode)).toEqual({ type: "end" });
  expect(await done.stream.read()).toBeNull();
  const task = await submit(gateway);
  const refused = await node.node.nextTask();
  await refused.stream.end({ type: "rejected", code: "TASK_BUSY", message: "" });
  expect(await refused.stream.expect(parseTaskToNode)).toEqual({ type: "end" });
  expect(await refused.stream.read()).toBeNull();
  expect(await get(gateway, task.taskId)).toMatchObject({ state: "retry-wait" });
});
