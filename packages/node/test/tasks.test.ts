import { encodeValue, decodeValue } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTask, TaskFailure, type NodeLogLine, type TaskContext, type TaskDefinition } from "../src/index.ts";
import type { FakeAttempt, FakeGateway } from "./support/fake-gateway.ts";
import { TASK_ID } from "./support/fake-gateway.ts";
import { openScene } from "./support/scene.ts";

const double = defineTask({
  name: "number.double",
  input: z.object({ value: z.number() }),
  output: z.object({ value: z.number() }),
  run: ({ value }, { progress, log }) => {
    progress(0.5, "half way");
    log("doubling");
    return { value: value * 2 };
  },
});

/** A task whose every run a test holds in its hands. */
function held() {
  const runs: { readonly context: TaskContext; readonly end: (value?: unknown) => void }[] = [];
  const definition: TaskDefinition = defineTask({
    name: "held",
    input: z.unknown(),
    output: z.unknown(),
    run: (_, context) =>
      new Promise<unknown>((resolve) => runs.push({ context, end: (value = null) => resolve(value) })),
  });
  return { runs, definition };
}

const id = (index: number): string => TASK_ID.slice(0, -2) + String(index).padStart(2, "0");

function output(gateway: FakeGateway, taskId = TASK_ID): unknown {
  const chunks = gateway
    .taskEvents()
    .flatMap((event) => (event.kind === "task.output" && event.data.taskId === taskId ? [event.data] : []));
  expect(chunks.map(({ index }) => index)).toEqual(chunks.map((_, index) => index));
  return decodeValue(Buffer.concat(chunks.map(({ bytes }) => bytes)));
}

describe("a task", () => {
  it("runs with validated input and reports progress, log, output and result, in this order", async () => {
    await using it = await openScene({ tasks: [double] });
    await it.start();
    expect(it.gateway.session.hello.capabilities).toEqual([{ name: "number.double", concurrency: 8 }]);
    const attempt = await it.gateway.runTask({ definition: "number.double", token: 9 }, { value: 21 });
    await it.gateway.until(() => it.gateway.results().length === 1 && attempt.messages.length === 2);
    expect(attempt.messages).toEqual([{ type: "accepted" }, { type: "finished", seq: 4 }]);
    expect(it.gateway.events.map(({ kind }) => kind)).toEqual([
      "task.progress",
      "task.log",
      "task.output",
      "task.result",
    ]);
    expect(it.gateway.taskEvents()[0]?.data).toEqual({ taskId: TASK_ID, token: 9, fraction: 0.5, message: "half way" });
    expect(output(it.gateway)).toEqual({ value: 42 });
    expect(it.gateway.results()[0]).toMatchObject({ taskId: TASK_ID, token: 9, outcome: "succeeded", outputChunks: 1 });
  });

  it("carries large input and output in chunks", async () => {
    const echo = defineTask({
      name: "echo",
      input: z.instanceof(Uint8Array),
      output: z.instanceof(Uint8Array),
      run: (input) => input,
    });
    await using it = await openScene({ tasks: [echo] });
    await it.start();
    const bytes = new Uint8Array(3_000_000).map((_, index) => index % 251);
    await it.gateway.runTask({ definition: "echo" }, bytes);
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ outcome: "succeeded", outputBytes: 3_000_005, outputChunks: 62 });
    expect(Buffer.compare(output(it.gateway) as Uint8Array, bytes)).toBe(0);
  });

  it("whose result does not fit into the outbox waits for room and arrives whole", async () => {
    const blob = defineTask({
      name: "blob",
      input: z.null(),
      output: z.instanceof(Uint8Array),
      run: () => new Uint8Array(3_000_000).fill(7),
    });
    await using it = await openScene({ tasks: [blob], maxOutboxBytes: 1_048_576 });
    it.gateway.behaviour.acknowledges = false;
    await it.start();
    await it.gateway.runTask({ definition: "blob" }, null);
    const received = (): number => it.gateway.events.reduce((sum, { data }) => sum + data.length, 0);
    await it.gateway.until(() => received() > 1_000_000);
    await expect(it.node.publish("n", new Uint8Array(60_000))).rejects.toMatchObject({ code: "OUTBOX_FULL" });
    expect(it.gateway.results()).toEqual([]);
    it.gateway.behaviour.acknowledges = true;
    it.network.sever();
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(output(it.gateway)).toEqual(new Uint8Array(3_000_000).fill(7));
    expect(it.gateway.duplicates).toBe(0);
  });

  it("limits progress to what is worth sending, and sends the last", async () => {
    const busy = defineTask({
      name: "busy",
      input: z.null(),
      output: z.null(),
      run: (_, { progress }) => {
        for (let step = 1; step <= 10_000; step++) progress(step / 10_000);
        return null;
      },
    });
    await using it = await openScene({ tasks: [busy] });
    await it.start();
    await it.gateway.runTask({ definition: "busy" }, null);
    await it.gateway.until(() => it.gateway.results().length === 1);
    const fractions = it.gateway
      .taskEvents()
      .flatMap((event) => (event.kind === "task.progress" ? event.data.fraction : []));
    expect(fractions.length).toBeLessThan(20);
    expect(fractions.at(-1)).toBe(1);
  });

  const failures: [string, () => unknown, object][] = [
    [
      "a failure with a code",
      () => Promise.reject(new TaskFailure("NO_DISK", "none")),
      { code: "NO_DISK", retryable: false },
    ],
    [
      "a failure to retry",
      () => Promise.reject(new TaskFailure("LATER", "later", { retryable: true })),
      { code: "LATER", retryable: true },
    ],
    [
      "any other error",
      () => Promise.reject(new Error("oops")),
      { code: "TASK_FAILED", message: "oops", retryable: true },
    ],
    ["output that does not fit", () => "text", { code: "TASK_OUTPUT_INVALID", retryable: false }],
    ["output that cannot travel", () => () => 1, { code: "TASK_OUTPUT_INVALID", retryable: false }],
  ];
  it.each(failures)("reports %s", async (_, run, error) => {
    const output = z.unknown().refine((value) => value !== "text");
    const failing = defineTask({ name: "failing", input: z.null(), output, run });
    await using it = await openScene({ tasks: [failing] });
    await it.start();
    await it.gateway.runTask({ definition: "failing" }, null);
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ outcome: "failed", error });
  });

  it.each([
    ["an unknown definition", { definition: "nobody.knows" }, { value: 1 }, {}, "TASK_UNKNOWN"],
    ["input that does not fit", { definition: "number.double" }, { value: "x" }, {}, "TASK_INPUT_INVALID"],
    [
      "input that is no CBOR",
      { definition: "number.double" },
      null,
      { rawInput: Uint8Array.of(0xff) },
      "TASK_INPUT_INVALID",
    ],
    ["input beyond all bounds", { definition: "number.double", inputBytes: 2 ** 40 }, null, {}, "TASK_INPUT_TOO_LARGE"],
  ] as const)("is rejected for %s", async (_, run, input, options, code) => {
    await using it = await openScene({ tasks: [double] });
    await it.start();
    const attempt = await it.gateway.runTask(run, input, options).catch(() => undefined);
    if (attempt === undefined) throw new Error("the stream broke before the answer");
    await it.gateway.until(() => attempt.messages.length === 1);
    expect(attempt.messages).toEqual([{ type: "rejected", code, message: expect.any(String) }]);
    expect(it.gateway.events).toEqual([]);
  });

  it("is answered with an error when its input is not as long as announced", async () => {
    await using it = await openScene({ tasks: [double] });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "number.double", inputBytes: 3 }, { value: 1 });
    await it.gateway.until(() => attempt.error !== undefined);
    expect(attempt.error).toMatchObject({ name: "RemoteError", code: "STATE_INVALID" });
    expect(it.gateway.events).toEqual([]);
  });
});

describe("many tasks", () => {
  it("run up to the limit at once, wait up to the queue's length, and are refused beyond it", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition], concurrency: 2, maxQueuedTasks: 1 });
    await it.start();
    const attempts: FakeAttempt[] = [];
    for (let index = 1; index <= 4; index++) {
      attempts.push(await it.gateway.runTask({ definition: "held", taskId: id(index) }, null));
    }
    await it.gateway.until(() => attempts.filter(({ messages }) => messages.length > 0).length === 3);
    expect(runs).toHaveLength(2);
    const refused = attempts.flatMap(({ messages }) => messages.filter(({ type }) => type === "rejected"));
    expect(refused).toMatchObject([{ code: "NODE_BUSY" }]);
    for (const run of runs) run.end();
    await it.gateway.until(() => it.gateway.results().length === 2);
    await it.gateway.until(() => attempts.every(({ messages }) => messages.length > 0));
    runs[2]?.end();
    await it.gateway.until(() => it.gateway.results().length === 3);
  });

  it("leave one that is exclusive alone with the node, and it does not starve", async () => {
    const { runs, definition } = held();
    const queued: unknown[] = [];
    const log = (line: NodeLogLine): void => {
      if (line.event === "task.queued") queued.push(line.details?.["taskId"]);
    };
    await using it = await openScene({ tasks: [definition], log });
    await it.start();
    const ask = (index: number, exclusive: boolean) =>
      it.gateway.runTask({ definition: "held", taskId: id(index), exclusive }, null);
    const shared = await ask(1, false);
    await it.gateway.until(() => shared.messages.length === 1);
    const alone = await ask(2, true);
    // The second has to be in the queue before the third: being noted on disk takes each its own time.
    while (queued.length < 2) await tick();
    const later = await ask(3, false);
    while (queued.length < 3) await tick();
    await turns();
    expect(runs.map(({ context }) => context.taskId)).toEqual([id(1)]);
    runs[0]?.end();
    await it.gateway.until(() => it.gateway.results().length === 1);
    await it.gateway.until(() => alone.messages.length === 1);
    await turns();
    expect(runs.map(({ context }) => context.taskId)).toEqual([id(1), id(2)]);
    expect(later.messages).toEqual([]);
    runs[1]?.end();
    await it.gateway.until(() => later.messages.length === 1);
    runs[2]?.end();
    await it.gateway.until(() => it.gateway.results().length === 3);
  });
});

describe("an attempt", () => {
  it("is cancelled by the gateway, running or waiting", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition], concurrency: 1 });
    await it.start();
    const first = await it.gateway.runTask({ definition: "held", taskId: id(1) }, null);
    await it.gateway.until(() => first.messages.length === 1);
    const second = await it.gateway.runTask({ definition: "held", taskId: id(2) }, null);
    await turns();
    await second.stream.send({ type: "cancel", reason: "changed my mind" });
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ taskId: id(2), outcome: "cancelled" });
    const aborted = new Promise((resolve) => runs[0]?.context.signal.addEventListener("abort", resolve));
    await first.stream.send({ type: "cancel", reason: "no more" });
    await aborted;
    expect(runs[0]?.context.signal.reason).toMatchObject({ name: "TaskStop", reason: "cancelled", message: "no more" });
    runs[0]?.end("too late");
    await it.gateway.until(() => it.gateway.results().length === 2);
    expect(it.gateway.results()[1]).toMatchObject({ taskId: id(1), outcome: "cancelled" });
    expect(runs).toHaveLength(1);
  });

  it("ends when its time is up", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "held", timeoutMs: 50 }, null);
    await it.gateway.until(() => attempt.messages.length === 1);
    runs[0]?.context.signal.addEventListener("abort", () => runs[0]?.end());
    await it.gateway.until(() => it.gateway.results().length === 1);
    const { outcome, error } = it.gateway.results()[0] ?? {};
    expect([outcome, error]).toEqual(["timed-out", undefined]);
  });

  it("goes on while the connection is cut and delivers its result over the next session", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "held", token: 5, idempotent: true }, null);
    await it.gateway.until(() => attempt.messages.length === 1);
    runs[0]?.context.progress(0.25);
    it.network.sever();
    await it.gateway.until(() => it.gateway.sessions.length === 2);
    expect(it.gateway.session.hello.running).toEqual([{ taskId: TASK_ID, token: 5, progress: 0.25 }]);
    runs[0]?.end("done");
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(output(it.gateway)).toBe("done");
  });

  it("that may not run twice stops itself before its lease ends; one that may goes on", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    it.gateway.behaviour.leaseMs = 100;
    await it.start();
    const once = await it.gateway.runTask({ definition: "held", taskId: id(1) }, null);
    const twice = await it.gateway.runTask({ definition: "held", taskId: id(2), idempotent: true }, null);
    await it.gateway.until(() => once.messages.length === 1 && twice.messages.length === 1);
    const [first, second] = [id(1), id(2)].map((task) => runs.find(({ context }) => context.taskId === task));
    const signal = first?.context.signal;
    signal?.addEventListener("abort", () => first?.end());
    if (signal?.aborted === true) first?.end();
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ taskId: id(1), outcome: "lease-lost" });
    expect(signal?.reason).toMatchObject({ reason: "lease-lost" });
    expect(second?.context.signal.aborted).toBe(false);
    second?.end();
    await it.gateway.until(() => it.gateway.results().length === 2);
  });

  it("keeps its lease by heartbeats, and stops when one is answered with a fence", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    Object.assign(it.gateway.behaviour, { heartbeatMs: 20, leaseMs: 500 });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "held", token: 3, idempotent: true }, null);
    await it.gateway.until(() => attempt.messages.length === 1);
    const beats = (): number => it.gateway.session.heartbeats.filter(({ running }) => running.length === 1).length;
    await it.gateway.until(() => beats() >= 3);
    expect(runs[0]?.context.signal.aborted).toBe(false);
    it.gateway.behaviour.fenced = [{ taskId: TASK_ID, token: 3 }];
    runs[0]?.context.signal.addEventListener("abort", () => runs[0]?.end());
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ token: 3, outcome: "lease-lost" });
  });

  it("asked for twice runs once; a later token makes the earlier one stop", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    await it.start();
    const first = await it.gateway.runTask({ definition: "held", token: 1 }, null);
    await it.gateway.until(() => first.messages.length === 1);
    const again = await it.gateway.runTask({ definition: "held", token: 1 }, null);
    await it.gateway.until(() => again.messages.length === 1);
    expect(again.messages[0]).toMatchObject({ type: "rejected", code: "TASK_STALE" });
    runs[0]?.context.signal.addEventListener("abort", () => runs[0]?.end());
    const later = await it.gateway.runTask({ definition: "held", token: 2 }, null);
    await it.gateway.until(() => later.messages.length === 1);
    expect(later.messages[0]).toMatchObject({ type: "rejected", code: "NODE_BUSY" });
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.results()[0]).toMatchObject({ token: 1, outcome: "lease-lost" });
    expect(runs).toHaveLength(1);
  });

  it("that a stopping node cannot finish is handed back, to be tried again", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "held" }, null);
    await it.gateway.until(() => attempt.messages.length === 1);
    runs[0]?.context.signal.addEventListener("abort", () => runs[0]?.end());
    await it.node.stop({ graceMs: 20 });
    expect(it.gateway.results()).toMatchObject([
      { outcome: "failed", error: { code: "NODE_STOPPING", retryable: true } },
    ]);
  });

  it("lets a stopping node finish it in its grace", async () => {
    const { runs, definition } = held();
    await using it = await openScene({ tasks: [definition] });
    await it.start();
    const attempt = await it.gateway.runTask({ definition: "held" }, null);
    await it.gateway.until(() => attempt.messages.length === 1);
    const stopping = it.node.stop();
    const refused = await it.gateway.runTask({ definition: "held", taskId: id(2) }, null);
    await it.gateway.until(() => refused.messages.length === 1);
    expect(refused.messages[0]).toMatchObject({ code: "NODE_STOPPING" });
    runs[0]?.end("in time");
    await stopping;
    expect(it.gateway.results()).toMatchObject([{ outcome: "succeeded" }]);
  });

  it("may record events of its own, but not such that look like reports", async () => {
    const emitting = defineTask({
      name: "emitting",
      input: z.null(),
      output: z.number(),
      run: async (_, { emit }) => {
        await expect(emit("task.result", {})).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
        return emit("found.something", { what: "a key" });
      },
    });
    await using it = await openScene({ tasks: [emitting] });
    await it.start();
    await it.gateway.runTask({ definition: "emitting" }, null);
    await it.gateway.until(() => it.gateway.results().length === 1);
    expect(it.gateway.events[0]).toMatchObject({ kind: "found.something", data: encodeValue({ what: "a key" }) });
    expect(output(it.gateway)).toBe(1);
  });
});

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Long enough for whatever would wrongly start to have started. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await tick();
}
