import dgram from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type { QuicTransportOptions } from "@quaymesh/transport-quic";
import { PathLimit } from "../src/path-limit.ts";
import { SERVER_NAME } from "./support/certificates.ts";
import { PROTOCOL, ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";
import type { Mesh } from "./support/mesh.ts";

type Size = NonNullable<QuicTransportOptions["datagramBytes"]>;
const LOAD = Buffer.alloc(200_000, 7);

/** A path between one client and a gateway that carries datagrams up to a size, and loses longer ones without a word. */
async function openPath(upstreamPort: number, carries = Infinity) {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.setRecvBufferSize(4 << 20);
  const longest = { up: 0, down: 0 };
  let lost = 0;
  let client: dgram.RemoteInfo | undefined;
  socket.on("message", (datagram, from) => {
    const direction = from.port === upstreamPort ? "down" : "up";
    if (direction === "up") client = from;
    longest[direction] = Math.max(longest[direction], datagram.length);
    const to = direction === "up" ? upstreamPort : client?.port;
    if (datagram.length > carries) lost += 1;
    else if (to !== undefined) socket.send(datagram, to, "127.0.0.1");
  });
  return {
    port: socket.address().port,
    longest,
    lost: () => lost,
    carryAtMost: (bytes: number) => {
      carries = bytes;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

const dial = (mesh: Mesh, port: number, datagramBytes: Size, idleTimeoutMs = 30_000) =>
  createQuicTransport({ datagramBytes }).dial(
    { host: "127.0.0.1", port },
    {
      protocol: PROTOCOL,
      serverName: SERVER_NAME,
      credentials: mesh.node,
      trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
      idleTimeoutMs,
    },
  );

test.each<readonly [node: Size, gateway: Size, both: number]>([
  ["auto", "auto", 16_383],
  [1200, "auto", 1200],
  ["auto", 1200, 1200],
  [9000, 1400, 1400],
  [1400, 9000, 1400],
  [16_384, 16_384, 16_383],
])(
  "a node at %s and a gateway at %s both send datagrams of at most %d bytes, and fill them",
  async (node, gateway, both) => {
    await using mesh = await openMesh({ transport: { datagramBytes: gateway } });
    const serving = serveEchoOnAll(mesh.listener);
    await using path = await openPath(mesh.listener.address.port);
    const dialed = await dial(mesh, path.port, node);
    expect(await ask(dialed, LOAD)).toHaveLength(LOAD.length);
    expect(path.longest).toEqual({ up: both, down: both });
    await dialed[Symbol.asyncDispose]();
    await mesh.listener.close();
    await serving;
  },
);

test.each([1199, 16_385, Number.NaN, -1])("%d is refused as a size", (datagramBytes) => {
  expect(() => createQuicTransport({ datagramBytes })).toThrow(RangeError);
});

test.each<readonly [configured: Size, carries: number]>([
  [9000, 1400],
  [9000, 1250],
  [1350, 1250],
])(
  "streams go on over a path that swallows what is configured: %d bytes where it carries %d",
  async (bytes, carries) => {
    await using mesh = await openMesh({ transport: { datagramBytes: bytes } });
    const serving = serveEchoOnAll(mesh.listener);
    await using path = await openPath(mesh.listener.address.port);
    const dialed = await dial(mesh, path.port, bytes);
    expect(await ask(dialed, LOAD)).toHaveLength(LOAD.length);
    expect(path.longest.up).toBe(bytes);
    // Both directions, in the middle of a connection.
    path.carryAtMost(carries);
    for (let round = 0; round < 3; round += 1) expect(await ask(dialed, LOAD)).toHaveLength(LOAD.length);
    const lost = path.lost();
    expect(lost).toBeGreaterThan(0);
    expect(await ask(dialed, LOAD)).toHaveLength(LOAD.length);
    // Nobody tries the long ones again.
    expect(path.lost()).toBe(lost);
    await dialed[Symbol.asyncDispose]();
    await mesh.listener.close();
    await serving;
  },
);

test("loss that hits short datagrams as well as long ones lowers nothing", () => {
  const limit = new PathLimit();
  let lost = 0;
  for (let round = 0; round < 1000; round += 1) {
    limit.sent(1350);
    // One in five is lost: heavy, and still no black hole.
    if (round % 5 === 0) lost += 1;
    if (round % 10 === 0) expect(limit.timedOut(lost)).toBe(false);
  }
  expect(limit.bytes).toBe(Infinity);
});

test("silence lowers the limit a step at a time, and timers of a connection that sent nothing long do not", () => {
  const limit = new PathLimit();
  for (let timeouts = 0; timeouts < 10; timeouts += 1) expect(limit.timedOut(0)).toBe(false);
  limit.sent(1200);
  expect(limit.timedOut(0)).toBe(false);
  const lowered: number[] = [];
  for (let timeouts = 0; timeouts < 9; timeouts += 1) {
    limit.sent(9000);
    if (limit.timedOut(0)) lowered.push(limit.bytes);
  }
  expect(lowered).toEqual([1350, 1200, 1200]);
});

test("long datagrams that all get lost lower the limit also where no timer runs out", () => {
  const limit = new PathLimit();
  for (let sent = 0; sent < 300; sent += 1) limit.sent(1350);
  expect(limit.isDue).toBe(true);
  expect(limit.count(3)).toBe(false);
  expect(limit.isDue).toBe(false);
  for (let sent = 0; sent < 32; sent += 1) limit.sent(1350);
  expect(limit.isDue).toBe(true);
  expect(limit.count(3 + 30)).toBe(true);
  // Straight to what every path carries: 1350 was what got lost.
  expect(limit.bytes).toBe(1200);
});

test("timers that run out count where long datagrams go through between them only as probes", () => {
  const limit = new PathLimit();
  for (let timeouts = 0; timeouts < 10; timeouts += 1) {
    for (let sent = 0; sent < 9; sent += 1) limit.sent(1350);
    expect(limit.timedOut(0)).toBe(false);
  }
  for (let timeouts = 0; timeouts < 2; timeouts += 1) {
    limit.sent(1350);
    limit.sent(1350);
    expect(limit.timedOut(0)).toBe(timeouts === 1);
  }
});
