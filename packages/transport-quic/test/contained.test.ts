/** What fails within one session ends that session alone: not its listener, its neighbours or the process. */
import { randomBytes } from "node:crypto";
import { expect, test, vi } from "vitest";
import type { CloseInfo, Connection } from "@quaymesh/protocol";
import { FAULTS } from "@quaymesh/transport-quic";
import { loadBinding } from "../src/binding.ts";
import type { NativeConnection } from "../src/binding.ts";
import { buildConfig } from "../src/config.ts";
import { QuicConnection } from "../src/connection.ts";
import { Link } from "../src/link.ts";
import { SERVER_AUTH, SERVER_NAME } from "./support/certificates.ts";
import { PROTOCOL, accept, openMesh } from "./support/mesh.ts";
import type { Mesh } from "./support/mesh.ts";

const broken = (): never => {
  throw new Error("broken on purpose");
};

const INTERNAL: CloseInfo = { kind: "transport", code: 1, reason: "internal error", byPeer: false };

/** From now on quiche fails to send for this connection. */
const breakSending = (connection: Connection): void => {
  if (!(connection instanceof QuicConnection)) throw new Error("it is no connection of this transport");
  vi.spyOn(connection.native, "send").mockImplementation(broken);
};

/** Faults that are reported while the scope lasts. */
const hearFaults = (): Disposable & { readonly heard: unknown[] } => {
  const heard: unknown[] = [];
  const listen = (message: unknown): void => void heard.push(message);
  FAULTS.subscribe(listen);
  return {
    heard,
    [Symbol.dispose]: () => {
      FAULTS.unsubscribe(listen);
    },
  };
};

const listenAt = async (mesh: Mesh, port: number, signal?: AbortSignal) =>
  mesh.transport.listen({
    address: { host: "127.0.0.1", port },
    protocol: PROTOCOL,
    credentials: await mesh.authority.issue("gateway", { usage: SERVER_AUTH }),
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    ...(signal === undefined ? {} : { signal }),
  });

test("a listener closes, tells its other sessions and frees its port where one session cannot send", async () => {
  using faults = hearFaults();
  await using mesh = await openMesh();
  const { port } = mesh.listener.address;
  const accepted = accept(mesh.listener);
  await mesh.dial();
  const faulty = await accepted;
  const acceptedLater = accept(mesh.listener);
  const neighbour = await mesh.dial();
  await acceptedLater;
  breakSending(faulty);
  await mesh.listener.close(7, "going");
  expect(await faulty.closed).toEqual(INTERNAL);
  expect(await neighbour.closed).toMatchObject({ kind: "application", code: 7, byPeer: true });
  expect(faults.heard).toContainEqual(expect.objectContaining({ where: "connection" }));
  const again = await listenAt(mesh, port);
  await again.close();
});

test("a listener that is aborted frees its port where one session cannot send", async () => {
  await using mesh = await openMesh();
  const aborter = new AbortController();
  const listener = await listenAt(mesh, 0, aborter.signal);
  const { port } = listener.address;
  const accepted = accept(listener);
  await mesh.dial({ port });
  const faulty = await accepted;
  breakSending(faulty);
  aborter.abort();
  expect(await faulty.closed).toEqual(INTERNAL);
  await listener.close();
  const again = await listenAt(mesh, port);
  await again.close();
});

test("a session that cannot send is closed by its owner without a throw, and is over", async () => {
  using faults = hearFaults();
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  await mesh.dial();
  const faulty = await accepted;
  breakSending(faulty);
  const stream = await faulty.openStream();
  const written = stream.write(Buffer.from("last words"));
  faulty.close(7);
  expect(await faulty.closed).toEqual(INTERNAL);
  await Promise.allSettled([written]);
  expect(faults.heard).not.toEqual([]);
  expect(mesh.listener.stats().connections).toBe(0);
});

/** A connection that nobody will ever answer, as quiche makes it. */
async function lonelyNative(mesh: Mesh): Promise<NativeConnection> {
  const binding = await loadBinding();
  const config = buildConfig(binding, {
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    idleTimeoutMs: 30_000,
    maxStreams: 10,
    datagramBytes: 1350,
    streamWindowBytes: 1 << 16,
    connectionWindowBytes: 1 << 17,
  });
  const address = { host: "127.0.0.1", port: 1 };
  return binding.Connection.connect(SERVER_NAME, randomBytes(20), address, address, config);
}

test.each(["its owner", "quiche"])("a timer that %s fails on ends its link, not the process", async (who) => {
  using faults = hearFaults();
  await using mesh = await openMesh();
  const native = await lonelyNative(mesh);
  const released = Promise.withResolvers<void>();
  const slot = Buffer.alloc(1350);
  const host = {
    local: { host: "127.0.0.1", port: 1 },
    outgoing: { slot: () => slot, take: () => {}, flush: () => {} },
    schedule: () => {},
    sent: () => {},
    release: () => released.resolve(),
  };
  const ended: CloseInfo[] = [];
  const link = new Link(native, host, host.local, {
    process: () => {},
    uncork: () => {},
    flushed: () => false,
    expired: broken,
    ended: (info) => void ended.push(info),
  });
  if (who === "quiche") {
    vi.spyOn(native, "onTimeout").mockImplementation(broken);
    // Nobody answers, so it is sent again after a while.
    link.flush();
  } else link.expireAt(performance.now());
  await released.promise;
  expect(ended).toEqual([INTERNAL]);
  expect(faults.heard).toContainEqual(expect.objectContaining({ where: "connection" }));
});
