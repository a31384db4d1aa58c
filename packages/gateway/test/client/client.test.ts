import type { StandardSchemaV1 } from "@standard-schema/spec";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeEvents } from "@quaymesh/protocol";
import { describe, expect, expectTypeOf, test } from "vitest";
import { connectError } from "../../src/api/errors.ts";
import { connect, MAX_TASK_INPUT_BYTES, type GatewayClient } from "../../src/client/index.ts";
import { GatewayError } from "../../src/errors.ts";
import {
  aborted,
  DEVICE_ID,
  event,
  serveFakes,
  task,
  TASK_ID,
  type ServedApi,
  unused,
  diagnosis,
  unaskedEvents,
} from "../api/fake-services.ts";

/** A schema that takes what `is` accepts. */
function schema<T>(is: (value: unknown) => value is T, message: string): StandardSchemaV1<T> {
  const validate = (value: unknown) => (is(value) ? { value } : { issues: [{ message, path: ["total"] }] });
  return { "~standard": { version: 1, vendor: "test", validate } };
}

const isTotal = (value: unknown): value is { total: number } =>
  typeof value === "object" && value !== null && "total" in value && typeof value.total === "number";
const digest = {
  name: "files.digest",
  input: schema((value): value is { path: string } => typeof value === "object", "no path"),
  output: schema(isTotal, "no total"),
};

async function withClient(api: ServedApi): Promise<GatewayClient> {
  return await connect({ socket: api.path });
}

describe("connecting", () => {
  test("finds the admin socket in the state directory", async () => {
    await using api = await serveFakes();
    await using client = await connect({ state: api.directory });
    const status = await client.status();
    expect(status).toMatchObject({ meshName: "harbor", lastOffset: 9_007_199_254_740_991, refused: { revoked: 3 } });
    expect(status.startedAt).toBe(1_700_000_000_000);
  });

  test("says that nobody is there, and what to do", async () => {
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-client-"));
    await expect(connect({ state: directory })).rejects.toMatchObject({
      name: "ClientError",
      code: "GATEWAY_UNREACHABLE",
      message: `no gateway answers on ${join(directory, "admin.sock")}`,
      hint: expect.stringContaining("quaymesh gateway run") as string,
    });
    await expect(connect({ state: join(directory, "missing") })).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
    await rm(directory, { recursive: true });
  });

  test("says that the gateway went away when it hangs up in the middle of a call", async () => {
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-client-"));
    const server = createServer((socket) => socket.once("data", () => socket.destroy()));
    await new Promise<void>((resolve) => {
      server.listen(join(directory, "admin.sock"), resolve);
    });
    await expect(connect({ state: directory })).rejects.toMatchObject({ code: "GATEWAY_GONE" });
    await new Promise((resolve) => {
      server.close(resolve);
    });
    await rm(directory, { recursive: true });
  });

  test("hands over what only the running gateway knows, as plain data", async () => {
    await using api = await serveFakes();
    await using gateway = await connect({ socket: api.path });
    const { now, ...same } = diagnosis;
    expect(await gateway.diagnosis()).toEqual({ ...same, time: now });
  });

  test("rethrows the caller's reason when it is aborted", async () => {
    const never = (): AsyncIterable<Uint8Array> => ({
      [Symbol.asyncIterator]: () => ({ next: () => aborted(undefined) }),
    });
    await using api = await serveFakes({
      parts: () => ({
        daemon: {
          status: () => aborted(undefined),
          stats: () => aborted(undefined),
          diagnosis: unused,
          requestStop() {},
          backup: never,
        },
      }),
    });
    const reason = new Error("changed my mind");
    const abort = new AbortController();
    const connecting = connect({ socket: api.path, signal: abort.signal });
    abort.abort(reason);
    await expect(connecting).rejects.toBe(reason);
  });
});

test("disposing of a client ends its calls with CLIENT_CLOSED", async () => {
  await using api = await serveFakes();
  const client = await withClient(api);
  const reading = (async () => {
    for await (const { offset } of client.events()) if (offset === 2) await client[Symbol.asyncDispose]();
  })();
  await expect(reading).rejects.toMatchObject({ code: "CLIENT_CLOSED" });
});

describe("errors", () => {
  test("carry the gateway's code, hint and facts", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    await expect(client.devices.get("nobody")).rejects.toMatchObject({
      name: "ClientError",
      code: "DEVICE_NOT_FOUND",
      message: "no device nobody",
      hint: expect.stringContaining("quaymesh device list") as string,
      metadata: { device: "nobody" },
    });
  });

  test("of the gateway's own making say nothing of what was inside", async () => {
    const logged: unknown[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (fields: unknown) => void logged.push(fields) };
    await using api = await serveFakes({ logger });
    await using client = await withClient(api);
    const failed: unknown = await client.devices.revoke("build-box").catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "GATEWAY_INTERNAL" });
    expect(String(failed)).not.toContain("secret");
    expect(logged).toMatchObject([{ err: { message: "a secret in a stack trace" } }]);
  });
});

describe("tasks", () => {
  test("are submitted with typed input, followed, and give a typed result", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    const handle = await client.tasks.submit(
      digest,
      { path: "." },
      { on: { label: "gpu" }, timeoutMs: 1_500, idempotencyKey: "k" },
    );
    expect(handle.id).toBe(TASK_ID);
    expect(api.seen.submitted[0]).toMatchObject({
      definition: "files.digest",
      target: { kind: "label", label: "gpu" },
      timeoutMs: 2_000,
      idempotencyKey: "k",
      submitter: "admin-socket",
    });
    // {"path": "."} in CBOR.
    expect(Buffer.from(api.seen.submitted[0]?.input ?? []).toString("hex")).toBe("a16470617468612e");
    const seen: unknown[] = [];
    for await (const { state, progress, log } of handle.updates()) seen.push([state, progress, log?.message]);
    expect(seen).toEqual([
      ["running", 0.5, undefined],
      ["running", 0.5, "hello"],
      ["succeeded", 1, undefined],
    ]);
    const result = await handle.result();
    expect(result).toEqual({ total: 3 });
    expectTypeOf(result).toEqualTypeOf<{ total: number }>();
  });

  test("with input that does not fit are not sent", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    await expect(client.tasks.submit(digest, "text" as never)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: "the input does not fit files.digest: total: no path",
    });
    await expect(client.tasks.submit("big", new Uint8Array(MAX_TASK_INPUT_BYTES))).rejects.toMatchObject({
      code: "INPUT_TOO_LARGE",
    });
    expect(api.seen.submitted).toEqual([]);
  });

  test("whose output does not fit say so", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    const narrow = { ...digest, output: schema((value): value is string => typeof value === "string", "no text") };
    const handle = await client.tasks.attach(TASK_ID, { definition: narrow });
    await expect(handle.result()).rejects.toMatchObject({ code: "OUTPUT_INVALID" });
  });

  test("that ended without success reject with their state and their own error", async () => {
    await using api = await serveFakes({
      parts: (seen) => ({
        tasks: {
          ...fakeTasks(),
          async *watch() {
            await Promise.resolve();
            seen.ended.push("watch");
            yield { kind: "task", task: task({ state: "failed", error: { code: "E_IO", message: "no such file" } }) };
          },
        },
      }),
    });
    await using client = await withClient(api);
    const handle = await client.tasks.attach(TASK_ID);
    await expect(handle.result()).rejects.toMatchObject({
      code: "TASK_FAILED",
      message: "no such file",
      metadata: { code: "E_IO", state: "failed", taskId: TASK_ID },
    });
  });

  test("are listed and cancelled", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    const [first] = await client.tasks.list();
    expect(first).toMatchObject({ id: TASK_ID, device: { id: DEVICE_ID, name: "build-box" }, error: undefined });
    const handle = await client.tasks.attach(TASK_ID);
    expect(await handle.cancel("enough")).toMatchObject({ state: "cancelled" });
  });
});

describe("events", () => {
  test("come decoded, and leaving the loop ends the subscription at the gateway", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    const ended = new Promise<void>((resolve) => {
      api.seen.onEnded = resolve;
    });
    const offsets: number[] = [];
    for await (const record of client.events({ after: 0, filter: { kinds: ["test.*"] } })) {
      offsets.push(record.offset);
      expect(record).toMatchObject({ kind: "test.tick", data: 1, logId: "log-1", time: 1_700_000_000_000 });
      if (record.offset === 2) break;
    }
    await ended;
    expect(offsets).toEqual([1, 2]);
    expect(api.seen.ended).toEqual(["events"]);
  });

  test("whose body is no CBOR come with their bytes alone", async () => {
    await using api = await serveFakes({
      parts: (seen) => ({
        events: {
          logId: "log-1",
          async *batches() {
            await Promise.resolve();
            seen.ended.push("events");
            yield {
              logId: "log-1",
              events: encodeEvents([event(1, Uint8Array.of(0xff)), event(2, new Uint8Array())]),
              caughtUp: 9,
            };
          },
          ...unaskedEvents,
        },
      }),
    });
    await using client = await withClient(api);
    const records = [];
    const positions: number[] = [];
    for await (const record of client.events({ onCaughtUp: ({ offset }) => positions.push(offset) }))
      records.push(record);
    expect(records.map(({ data, bytes }) => [data, [...bytes]])).toEqual([
      [undefined, [0xff]],
      [undefined, []],
    ]);
    expect(positions).toEqual([9]);
  });

  test("end with GATEWAY_DRAINING when the gateway stops and nobody wants to reconnect, and with the reason when the reader aborts", async () => {
    await using api = await serveFakes();
    await using client = await withClient(api);
    const reason = new Error("enough");
    const abort = new AbortController();
    const reading = (async () => {
      for await (const { offset } of client.events({ signal: abort.signal })) if (offset === 2) abort.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
    const following = (async () => {
      for await (const { offset } of client.events({ reconnect: false })) {
        if (offset === 2) api.shutdown(connectError(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping")));
      }
    })();
    await expect(following).rejects.toMatchObject({ code: "GATEWAY_DRAINING" });
  });
});

function fakeTasks() {
  const never = () => aborted(undefined);
  return {
    submit: never,
    get: () => Promise.resolve(task()),
    list: never,
    cancel: never,
    readOutput: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
  };
}
