import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { expect, test } from "vitest";
import { loadBinding } from "../src/binding.ts";
import type { NativeConnection } from "../src/binding.ts";
import { buildConfig } from "../src/config.ts";
import { Link } from "../src/link.ts";
import { openSocket } from "../../../test/fuzz/datagrams/path.ts";
import { SERVER_NAME } from "./support/certificates.ts";
import { PROTOCOL, openMesh } from "./support/mesh.ts";
import type { Mesh } from "./support/mesh.ts";

const LOCAL = { host: "127.0.0.1", port: 1 };
const DATAGRAM_BYTES = 1350;
/** Datagrams of one pass that are not of a handshake any more. */
const ENDLESS = 100;
/** Too long for a datagram: with that to say, and a probe due, quiche makes packets for ever. What our connections say is cut. */
const LONG_REASON = new Uint8Array(2000);

/** A connection that has {@link LONG_REASON} to say. */
async function endlessNative(mesh: Mesh): Promise<NativeConnection> {
  const { host, port } = mesh.listener.address;
  const remote = { host, port };
  const binding = await loadBinding();
  const config = buildConfig(binding, {
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    idleTimeoutMs: 30_000,
    maxStreams: 10,
    datagramBytes: DATAGRAM_BYTES,
    streamWindowBytes: 1 << 16,
    connectionWindowBytes: 1 << 17,
  });
  const native = binding.Connection.connect(SERVER_NAME, randomBytes(20), LOCAL, remote, config);
  const socket = await openSocket();
  const slot = Buffer.alloc(DATAGRAM_BYTES);
  const flush = (): void => {
    for (let sent = native.send(slot); sent !== null; sent = native.send(slot)) {
      socket.send(Buffer.from(slot.subarray(0, sent[0])), port, host);
    }
  };
  flush();
  while (!native.isEstablished()) {
    const [datagram]: Uint8Array[] = await once(socket, "message");
    if (datagram !== undefined) native.recv(datagram, { from: remote, to: LOCAL });
    flush();
  }
  native.close(true, 1, LONG_REASON);
  for (let inARow = 0; inARow < ENDLESS;) {
    while (native.timeout() !== 0) await new Promise(setImmediate);
    native.onTimeout();
    for (inARow = 0; inARow < ENDLESS && native.send(slot) !== null;) inARow += 1;
  }
  const closed = once(socket, "close");
  socket.close();
  await closed;
  return native;
}

/** A link with nobody around it. */
function lonelyLink(native: NativeConnection) {
  const slot = Buffer.alloc(DATAGRAM_BYTES);
  const seen = { datagrams: 0, released: false, scheduled: Promise.withResolvers<void>() };
  const take = (): void => {
    seen.datagrams += 1;
    // For a pass without an end: else the test would have none either.
    if (seen.datagrams > 100_000) throw new Error("no end");
  };
  const host = {
    local: LOCAL,
    outgoing: { slot: () => slot, take, flush: () => {} },
    schedule: () => seen.scheduled.resolve(),
    sent: () => {},
    release: () => {
      seen.released = true;
    },
  };
  const owner = { process: () => {}, uncork: () => {}, flushed: () => false, expired: () => {}, ended: () => {} };
  return { link: new Link(native, host, LOCAL, owner), seen };
}

test("a connection that quiche would send for without end is let go when it is over", async () => {
  await using mesh = await openMesh();
  const { link, seen } = lonelyLink(await endlessNative(mesh));
  link.lingers = true;
  link.process();
  link.flush();
  expect(seen.released).toBe(true);
  expect(seen.datagrams).toBeLessThan(20);
});

test("one sending pass without end leaves room for others, and goes on in the next turn", async () => {
  await using mesh = await openMesh();
  const { link, seen } = lonelyLink(await endlessNative(mesh));
  link.flush();
  expect(seen.datagrams).toBeGreaterThan(4096);
  expect(seen.datagrams).toBeLessThan(20_000);
  expect(seen.released).toBe(false);
  await seen.scheduled.promise;
  link.abandon({ kind: "local" });
});
