import { execFile } from "node:child_process";
import { connect as connectSocket } from "node:net";
import { once } from "node:events";
import { promisify } from "node:util";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import {
  DeviceService,
  DeviceState,
  ErrorReasonSchema,
  EventService,
  GatewayService,
  TaskService,
} from "@quaymesh/api";
import { decodeEvents } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import { serveFakes } from "./fake-services.ts";

const run = promisify(execFile);
const baseUrl = "http://localhost";

/** Every way in: protocol, HTTP version and encoding. */
const TRANSPORTS: Readonly<Record<string, (path: string) => { transport: Transport; close: () => void }>> = {
  "Connect over HTTP/1.1 with JSON": (path) => http1(path, { useBinaryFormat: false }),
  "Connect over HTTP/1.1 with protobuf": (path) => http1(path, { useBinaryFormat: true }),
  "Connect over HTTP/1.1 with protobuf that nobody packs": (path) =>
    http1(path, { useBinaryFormat: true, acceptCompression: [] }),
  "gRPC-Web over HTTP/1.1": (path) => ({
    transport: createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { socketPath: path } }),
    close: () => {},
  }),
  "Connect over HTTP/2": (path) =>
    http2(path, (sessionManager) => createConnectTransport({ baseUrl, httpVersion: "2", sessionManager })),
  "gRPC over HTTP/2": (path) => http2(path, (sessionManager) => createGrpcTransport({ baseUrl, sessionManager })),
};

function http1(path: string, options: { useBinaryFormat: boolean; acceptCompression?: [] }) {
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    nodeOptions: { socketPath: path },
    ...options,
  });
  return { transport, close: () => {} };
}

function http2(path: string, make: (manager: Http2SessionManager) => Transport) {
  const manager = new Http2SessionManager(baseUrl, {}, { createConnection: () => connectSocket(path) });
  return { transport: make(manager), close: () => manager.abort() };
}

describe.each(Object.entries(TRANSPORTS))("%s", (_name, open) => {
  test("a unary call is answered", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const status = await createClient(GatewayService, transport).getStatus({});
    expect(status.meshName).toBe("harbor");
    expect(status.lastOffset).toBe(9_007_199_254_740_991n);
    expect(status.refused).toEqual({ revoked: 3n });
    const { devices } = await createClient(DeviceService, transport).listDevices({});
    expect(devices.map(({ name, state }) => ({ name, state }))).toEqual([
      { name: "build-box", state: DeviceState.ONLINE },
    ]);
    close();
  });

  test("an error carries the Connect code, the reason, the hint and the facts", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const failed = await createClient(DeviceService, transport)
      .getDevice({ device: "nobody" })
      .catch((error: unknown) => error);
    close();
    const error = ConnectError.from(failed);
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe("no device nobody");
    const [detail] = error.findDetails(ErrorReasonSchema);
    expect(detail).toMatchObject({ reason: "DEVICE_NOT_FOUND", metadata: { device: "nobody" } });
    expect(detail?.hint).toContain("quaymesh device list");
  });

  test("a stream is delivered, and ends on the gateway's side when its reader aborts", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const ended = new Promise<void>((resolve) => {
      api.seen.onEnded = resolve;
    });
    const leaving = new AbortController();
    const reading = (async () => {
      for await (const batch of createClient(EventService, transport).subscribe({}, { signal: leaving.signal })) {
        expect(batch.events.map(({ offset }) => offset)).toEqual([1n, 2n]);
        leaving.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
    await ended;
    close();
    expect(api.seen.ended).toEqual(["events"]);
  });

  test("events come encoded where that is asked for, and are the same", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const events = createClient(EventService, transport);
    const plain = await first(events.subscribe({}));
    const encoded = await first(events.subscribe({ encoded: true }));
    close();
    expect(plain?.encodedEvents).toHaveLength(0);
    expect(encoded).toMatchObject({ events: [], logId: plain?.logId, caughtUp: plain?.caughtUp });
    const decoded = decodeEvents(encoded?.encodedEvents ?? new Uint8Array());
    expect(decoded.map(({ offset, device, kind }) => [BigInt(offset), device, kind])).toEqual(
      plain?.events.map(({ offset, deviceId, kind }) => [offset, deviceId, kind]),
    );
    expect(decoded.map(({ data }) => data)).toEqual(plain?.events.map(({ data }) => data));
  });

  test("a stream ends with GATEWAY_DRAINING when the gateway stops", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const { connectError } = await import("../../src/api/errors.ts");
    const { GatewayError } = await import("../../src/errors.ts");
    const failed: unknown = await (async () => {
      for await (const batch of createClient(EventService, transport).subscribe({})) {
        expect(batch.logId).toBe("log-1");
        api.shutdown(connectError(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping")));
      }
    })().catch((error: unknown) => error);
    close();
    expect(ConnectError.from(failed).findDetails(ErrorReasonSchema)[0]?.reason).toBe("GATEWAY_DRAINING");
  });

  test("an input of some megabytes arrives whole", async () => {
    await using api = await serveFakes();
    const { transport, close } = open(api.path);
    const input = new Uint8Array(5_000_000).fill(7);
    const { task } = await createClient(TaskService, transport).submitTask({
      definition: "x",
      target: { target: { case: "any", value: true } },
      input,
    });
    close();
    expect(task?.inputBytes).toBe(5_000_000n);
    expect(api.seen.submitted[0]?.input).toEqual(input);
  });
});

test("a message beyond what the largest input needs is refused while it is read", async () => {
  await using api = await serveFakes();
  const { transport } = http1(api.path, { useBinaryFormat: true });
  const submitting = createClient(TaskService, transport).submitTask({
    definition: "x",
    target: { target: { case: "any", value: true } },
    input: new Uint8Array(96 * 1024 * 1024),
  });
  await expect(submitting).rejects.toMatchObject({ code: Code.ResourceExhausted });
  expect(api.seen.submitted).toEqual([]);
});

describe("curl", () => {
  test("a plain JSON request over the socket is answered in JSON", async () => {
    await using api = await serveFakes();
    const { stdout } = await run("curl", [
      "-sS",
      "--unix-socket",
      api.path,
      "-H",
      "content-type: application/json",
      "-d",
      '{"device":"build-box"}',
      "http://localhost/quaymesh.v1.DeviceService/GetDevice",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ device: { name: "build-box", state: "DEVICE_STATE_ONLINE" } });
  });

  test("a read-only method can be asked with GET", async () => {
    await using api = await serveFakes();
    const { stdout } = await run("curl", [
      "-sS",
      "--unix-socket",
      api.path,
      "http://localhost/quaymesh.v1.GatewayService/GetStatus?encoding=json&message=%7B%7D",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ meshName: "harbor" });
  });
});

test("the HTTP/2 preface is recognised when it comes byte by byte", async () => {
  await using api = await serveFakes();
  const socket = connectSocket(api.path);
  socket.setNoDelay(true);
  await once(socket, "connect");
  const preface = Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  ]);
  for (const byte of preface) {
    await new Promise<void>((resolve) => {
      socket.write(Buffer.of(byte), () => setImmediate(resolve));
    });
  }
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  // A SETTINGS frame on stream 0: RFC 9113 section 6.5.
  expect(answer[3]).toBe(4);
});

async function first<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
  for await (const message of stream) return message;
  return undefined;
}

test("a peer that hangs up in the middle of a request harms nobody else", async () => {
  await using api = await serveFakes();
  for (const bytes of [
    "",
    "P",
    "PRI * HTTP/2.0\r\n\r\nSM",
    "POST /quaymesh.v1.TaskService/SubmitTask HTTP/1.1\r\ncontent-le",
  ]) {
    const socket = connectSocket(api.path);
    await once(socket, "connect");
    socket.write(bytes);
    socket.destroy();
    await once(socket, "close");
  }
  const { transport } = http1(api.path, { useBinaryFormat: true });
  await expect(createClient(GatewayService, transport).getStatus({})).resolves.toMatchObject({ meshName: "harbor" });
});
