/** How sessions, streams and refusals end on the wire: a node made of frames alone reads the last word before the close that follows it. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect } from "@quaymesh/gateway/client";
import { meshServerName, parseTicket } from "@quaymesh/identity";
import { join as joinMesh } from "@quaymesh/node";
import {
  encodeValue,
  MessageStream,
  parseGatewayControl,
  parsePublishReply,
  parseRequest,
  parseTaskToNode,
  type Connection,
} from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const transport = createQuicTransport();
const EPOCH = new Uint8Array(16).fill(7);

/** A gateway that stops when told by signal, and the credentials of a device that paired with it. */
async function openWorld() {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-endings-"));
  const state = join(directory, "gateway");
  const stop = new AbortController();
  const gateway = await Gateway.open({
    transport,
    state,
    signal: stop.signal,
    listen: { host: "127.0.0.1", port: 0 },
    pairing: {
      childModule: new URL("../../packages/cli/src/pairing-child.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
    },
  });
  const client = await connect({ state });
  const nodeState = join(directory, "node");
  const window = await client.pairing.open({ name: "raw" });
  const ticket = parseTicket(window.link, { now: Date.now() });
  const joining = joinMesh({ state: nodeState, transport, invitation: { kind: "ticket", ticket } });
  joining.catch(() => {});
  for await (const { state: now, request } of client.pairing.watch(window.windowId)) {
    if (now === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (now === "issued") break;
  }
  const { deviceId } = await joining;
  const identity = JSON.parse(await readFile(join(nodeState, "identity.json"), "utf8")) as Record<string, string>;
  const keyPem = await readFile(join(nodeState, "device.key"), "utf8");
  const [host = "", port = ""] = gateway.addresses[0]?.split(":") ?? [];
  return {
    gateway,
    client,
    stop,
    deviceId,
    dial: (): Promise<Connection> =>
      transport.dial(
        { host, port: Number(port) },
        {
          protocol: "quaymesh/1",
          serverName: meshServerName(gateway.meshId),
          credentials: { keyPem, chainPem: identity["chainPem"] ?? "" },
          trust: { kind: "anchored", anchorsPem: identity["rootPem"] ?? "" },
        },
      ),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await gateway.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function greet(connection: Connection, device: string): Promise<MessageStream> {
  const control = new MessageStream(await connection.openStream());
  await control.send({
    v: 1,
    method: "session.open",
    device,
    nonce: new Uint8Array(16),
    outboxEpoch: EPOCH,
    software: "raw/1",
    platform: { os: "linux", arch: "x64" },
    capabilities: [{ name: "work", concurrency: 1 }],
  });
  return control;
}

test("a gateway that is told to stop tells its nodes when to come back, and closes with draining", async () => {
  await using world = await openWorld();
  await using connection = await world.dial();
  const control = await greet(connection, world.deviceId);
  expect(await control.expect(parseGatewayControl)).toMatchObject({ type: "welcome" });
  world.stop.abort();
  expect(await control.expect(parseGatewayControl)).toEqual({ type: "drain", retryAfterMs: 1000 });
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x50, byPeer: true });
});

test("a hello that is refused can be read before the connection closes, which waits for its node to end", async () => {
  await using world = await openWorld();
  await using connection = await world.dial();
  const control = await greet(connection, "01JQQQQQQQQQQQQQQQQQQQQQQQ");
  await expect(control.expect(parseGatewayControl)).rejects.toMatchObject({ code: "DEVICE_MISMATCH" });
  await control.end({ type: "bye", reason: "" });
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x40, byPeer: true });
});

test("a task's stream ends with a last message and its FIN", async () => {
  await using world = await openWorld();
  await using connection = await world.dial();
  const control = await greet(connection, world.deviceId);
  expect(await control.expect(parseGatewayControl)).toMatchObject({ type: "welcome" });
  const task = await world.client.tasks.submit("work", null, { on: { device: "raw" } });
  const incoming = await connection.incomingStreams[Symbol.asyncIterator]().next();
  if (incoming.done === true) throw new Error("the connection is over");
  const stream = new MessageStream(incoming.value);
  const { taskId, token } = parseRequest((await stream.read()) ?? new Uint8Array(), ["task.run"]);
  while ((await stream.expect(parseTaskToNode)).type !== "input.end");
  await stream.send({ type: "accepted" });
  const publisher = new MessageStream(await connection.openStream());
  await publisher.send({ v: 1, method: "events.publish", outboxEpoch: EPOCH });
  expect(await publisher.expect(parsePublishReply)).toMatchObject({ type: "ready", ackedSeq: 0 });
  const data = encodeValue({ taskId, token, outcome: "succeeded", outputChunks: 0, outputBytes: 0 });
  await publisher.send({ type: "batch", first: 1, events: [{ kind: "task.result", time: 1, data }] });
  expect(await publisher.expect(parsePublishReply)).toEqual({ type: "ack", seq: 1 });
  await stream.end({ type: "finished", seq: 1 });
  expect(await stream.expect(parseTaskToNode)).toEqual({ type: "end" });
  expect(await stream.read()).toBeNull();
  const states: string[] = [];
  for await (const { state } of task.updates()) states.push(state);
  expect(states.at(-1)).toBe("succeeded");
});
