import { encodeValue, type Capability } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { SubmitOptions, TaskUpdate } from "../../src/tasks/service.ts";
import { eventually } from "../support/eventually.ts";
import { TaskNode } from "../support/task-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

const WORK: Capability[] = [{ name: "work", concurrency: 1 }];
const INPUT = encodeValue({ path: "a" });

const submit = (gateway: TestGateway, change: Partial<SubmitOptions> = {}) =>
  gateway.core.tasks.submit({ definition: "work", target: { kind: "any" }, input: INPUT, ...change });

const state = async (gateway: TestGateway, task: string) => (await gateway.core.tasks.get(task)).state;

async function worker(gateway: TestGateway, name: string, capabilities = WORK, labels: string[] = []) {
  const device = await gateway.enroll(name, labels);
  return await TaskNode.over(await gateway.connect(device, { capabilities }));
}

test("a task waits for a node, runs there with its input, and its output comes back", async () => {
  await using gateway = await testGateway();
  const input = new Uint8Array(700_000).map((_, index) => index % 253);
  const task = await submit(gateway, { input });
  expect(task).toMatchObject({ state: "queued", inputBytes: 700_000 });
  const node = await worker(gateway, "a");
  const attempt = await node.node.nextTask();
  expect(attempt.run).toMatchObject({ taskId: task.taskId, attempt: 1, token: 1, inputBytes: 700_000 });
  expect(Buffer.compare(attempt.input, input)).toBe(0);
  expect(await state(gateway, task.taskId)).toBe("leased");
  await attempt.stream.send({ type: "accepted" });
  await eventually(async () => (await state(gateway, task.taskId)) === "running");
  await node.succeed(attempt, encodeValue("done"));
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ state: "succeeded", deviceName: "a", attempt: 1 });
  const pieces = await Array.fromAsync(gateway.core.tasks.readOutput(task.taskId));
  expect(Buffer.concat(pieces).equals(encodeValue("done"))).toBe(true);
});

test("a watcher sees every state, progress and log line from the beginning, whenever it came", async () => {
  await using gateway = await testGateway();
  const task = await submit(gateway);
  const early = Array.fromAsync(gateway.core.tasks.watch(task.taskId));
  const node = await worker(gateway, "a");
  const attempt = await node.accept();
  const ref = { taskId: task.taskId, token: 1 };
  for (let line = 1; line <= 300; line += 100) {
    const lines = Array.from({ length: 100 }, (_, index) => ({
      kind: "task.log",
      data: { ...ref, level: "info", message: `line ${line + index}` },
    }));
    await node.report(...lines, { kind: "task.progress", data: { ...ref, fraction: line / 300, message: "on it" } });
  }
  await node.succeed(attempt, encodeValue(1));
  const late = await Array.fromAsync(gateway.core.tasks.watch(task.taskId));
  const lines = (updates: readonly TaskUpdate[]) => updates.filter((update) => update.kind === "log");
  for (const updates of [await early, late]) {
    expect(lines(updates).map(({ log }) => log.message)).toEqual(
      Array.from({ length: 300 }, (_, index) => `line ${index + 1}`),
    );
    expect(updates.at(-1)).toMatchObject({ kind: "task", task: { state: "succeeded", progress: 1 } });
  }
  expect((await early)[0]).toMatchObject({ kind: "task", task: { state: "queued" } });
});

test("nodes are given what they offer, what suits the target, and no more than they can run", async () => {
  await using gateway = await testGateway();
  const gpu = await worker(gateway, "gpu", [{ name: "work", concurrency: 2 }], ["gpu"]);
  const plain = await worker(gateway, "plain", [{ name: "other" }]);
  const tasks = [];
  for (let index = 0; index < 3; index++)
    tasks.push(await submit(gateway, { target: { kind: "label", label: "gpu" } }));
  const bound = await submit(gateway, { target: { kind: "device", device: "plain" } });
  const [first, second] = [await gpu.accept(), await gpu.accept()];
  expect([first.run.taskId, second.run.taskId]).toEqual(tasks.slice(0, 2).map(({ taskId }) => taskId));
  // Neither the third, for which there is no slot, nor the one whose device does not offer it.
  expect(await state(gateway, tasks[2]?.taskId ?? "")).toBe("queued");
  expect(await state(gateway, bound.taskId)).toBe("queued");
  await gpu.succeed(first, encodeValue(1));
  expect((await gpu.accept()).run.taskId).toBe(tasks[2]?.taskId);
  await plain.node.control.send({ type: "capabilities", capabilities: WORK });
  expect((await plain.accept()).run.taskId).toBe(bound.taskId);
});

test("an exclusive task runs alone, and is not starved by those that share", async () => {
  await using gateway = await testGateway();
  const node = await worker(gateway, "a", [
    { name: "work", concurrency: 4 },
    { name: "other", concurrency: 4 },
  ]);
  await submit(gateway);
  const shared = await node.accept();
  const alone = await submit(gateway, { exclusive: true });
  // There is a slot for this one, but it came later: it may not keep the node from becoming empty.
  const after = await submit(gateway, { definition: "other" });
  await node.node.heartbeat(1, [{ taskId: shared.run.taskId, token: 1 }]);
  expect([await state(gateway, alone.taskId), await state(gateway, after.taskId)]).toEqual(["queued", "queued"]);
  await node.succeed(shared, encodeValue(1));
  const exclusive = await node.accept();
  expect(exclusive.run).toMatchObject({ taskId: alone.taskId, exclusive: true });
  expect(await state(gateway, after.taskId)).toBe("queued");
  await node.succeed(exclusive, encodeValue(1));
  expect((await node.accept()).run.taskId).toBe(after.taskId);
});

test("an idempotency key gives the same task again, and refuses another request", async () => {
  await using gateway = await testGateway();
  const keyed = { idempotencyKey: "once" };
  const first = await submit(gateway, keyed);
  expect((await submit(gateway, keyed)).taskId).toBe(first.taskId);
  const other = submit(gateway, { ...keyed, input: encodeValue("else") });
  await expect(other).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT", metadata: { taskId: first.taskId } });
});

test("a request that makes no sense is refused by the field that is wrong", async () => {
  await using gateway = await testGateway({ limits: { maxUnfinishedTasks: 1 } });
  await expect(submit(gateway, { definition: "" })).rejects.toMatchObject({ metadata: { field: "definition" } });
  await expect(submit(gateway, { maxAttempts: 0 })).rejects.toMatchObject({ metadata: { field: "maxAttempts" } });
  await expect(submit(gateway, { input: new Uint8Array() })).rejects.toMatchObject({ code: "TASK_INVALID" });
  const target = { kind: "device", device: "nobody" } as const;
  await expect(submit(gateway, { target })).rejects.toMatchObject({ code: "DEVICE_NOT_FOUND" });
  const task = await submit(gateway);
  await expect(submit(gateway)).rejects.toMatchObject({ code: "TASK_QUEUE_FULL" });
  const output = Array.fromAsync(gateway.core.tasks.readOutput(task.taskId));
  await expect(output).rejects.toMatchObject({ code: "TASK_NOT_SUCCEEDED" });
  await expect(gateway.core.tasks.get("01JZZZ")).rejects.toMatchObject({ code: "TASK_NOT_FOUND" });
  expect((await gateway.core.tasks.get(task.taskId.slice(0, 12).toLowerCase())).taskId).toBe(task.taskId);
});

test("what a node turns down is tried again", async () => {
  await using gateway = await testGateway();
  const task = await submit(gateway);
  const node = await worker(gateway, "a");
  const attempt = await node.node.nextTask();
  await attempt.stream.end({ type: "rejected", code: "TASK_BUSY", message: "no slot" });
  await eventually(async () => (await state(gateway, task.taskId)) === "retry-wait");
  expect(await gateway.core.tasks.get(task.taskId)).toMatchObject({ attempt: 0, error: { code: "TASK_BUSY" } });
  const again = await node.accept();
  expect(again.run).toMatchObject({ taskId: task.taskId, attempt: 1, token: 2 });
});

test("a task that waits is cancelled at once; one that runs is asked, and its node's word counts", async () => {
  await using gateway = await testGateway();
  const waiting = await submit(gateway);
  expect(await gateway.core.tasks.cancel(waiting.taskId, { reason: "no" })).toMatchObject({ state: "cancelled" });
  await expect(gateway.core.tasks.cancel(waiting.taskId)).rejects.toMatchObject({ code: "TASK_ENDED" });
  const node = await worker(gateway, "a");
  const running = await submit(gateway);
  const attempt = await node.accept();
  const asked = await gateway.core.tasks.cancel(running.taskId, { reason: "enough" });
  expect(asked).toMatchObject({ cancelRequested: true, cancelReason: "enough" });
  const { parseTaskToNode } = await import("@quaymesh/protocol");
  expect(await attempt.stream.expect(parseTaskToNode)).toEqual({ type: "cancel", reason: "enough" });
  await node.result(attempt.run, { outcome: "cancelled" });
  expect(await state(gateway, running.taskId)).toBe("cancelled");
});
