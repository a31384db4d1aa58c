/** A refused client learns why as soon as it can be told, and is given nothing that an accepted one gets. */
import { randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { on, once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { TransportError, dialVerdict } from "@quaymesh/protocol";
import type { Authorize, CloseInfo, Connection, DialOptions, ListenerRefusal, RefusalReason } from "@quaymesh/protocol";
import { loadBinding } from "../src/binding.ts";
import type { NativeConfig, NativeConnection } from "../src/binding.ts";
import { buildConfig } from "../src/config.ts";
import { CONNECTION_ID_BYTES } from "../src/datagram-shape.ts";
import { SERVER_NAME, createAuthority } from "./support/certificates.ts";
import { recordFlights } from "./support/flights.ts";
import { PROTOCOL, openMesh } from "./support/mesh.ts";
import type { Mesh, MeshOptions } from "./support/mesh.ts";
import { ServerFrames } from "./support/server-frames.ts";

const closeOf = async (dialing: Promise<Connection>): Promise<CloseInfo> => {
  try {
    return await (
      await dialing
    ).closed;
  } catch (error) {
    if (error instanceof TransportError && error.close !== undefined) return error.close;
    throw error;
  }
};

const refusing =
  (reason: RefusalReason): Authorize =>
  () => ({ kind: "refuse", reason });

interface Case {
  readonly verdict: ListenerRefusal;
  readonly mesh: MeshOptions;
  readonly dial?: (mesh: Mesh) => Promise<Partial<DialOptions>>;
  /** 1: its first datagram says it. 2: its certificate does, which goes out once the server has shown its own. */
  readonly roundTrips: number;
}

const CASES: readonly Case[] = [
  { verdict: "busy", mesh: { limits: { maxConnections: 0 } }, roundTrips: 1 },
  {
    verdict: "wrong-protocol",
    mesh: {},
    dial: async () => ({ protocol: "quaymesh/9" }),
    roundTrips: 1,
  },
  {
    verdict: "untrusted",
    mesh: {},
    dial: async () => ({ credentials: await (await createAuthority("other root")).issue("stranger") }),
    roundTrips: 2,
  },
  {
    verdict: "expired",
    mesh: {},
    dial: async (mesh) => ({ credentials: await mesh.authority.issue("late", { notAfterHours: -1 }) }),
    roundTrips: 2,
  },
  { verdict: "revoked", mesh: { authorize: refusing("revoked") }, roundTrips: 2 },
  { verdict: "expired", mesh: { authorize: refusing("expired") }, roundTrips: 2 },
  { verdict: "unknown", mesh: { authorize: refusing("unknown") }, roundTrips: 2 },
  { verdict: "denied", mesh: { authorize: refusing("denied") }, roundTrips: 2 },
];

/** On a machine that is busy with something else, a timer may repeat a datagram and make one round trip look like two. */
const TRIES = 5;

test.each(CASES)("$verdict is known after $roundTrips round trips, and counted", async (wanted) => {
  await using mesh = await openMesh(wanted.mesh);
  const overrides = (await wanted.dial?.(mesh)) ?? {};
  const took: number[] = [];
  while (took.length < TRIES && took.at(-1) !== wanted.roundTrips) {
    await using recorder = await recordFlights(mesh.listener.address.port);
    const close = await closeOf(mesh.dial({ ...overrides, port: recorder.port }));
    expect(dialVerdict(close)).toBe(wanted.verdict);
    expect(close).toMatchObject({ kind: "transport", byPeer: true });
    took.push(recorder.roundTrips());
  }
  expect(took.at(-1)).toBe(wanted.roundTrips);
  expect(mesh.listener.stats()).toMatchObject({ accepted: 0, refused: { [wanted.verdict]: took.length } });
});

/** The key log is for looking into packets; nothing but this test has a use for it. */
interface Logging {
  readonly config: NativeConfig & { logKeys(): void };
  readonly connection: NativeConnection & { setKeylog(file: string): void };
}

const canLog = (config: NativeConfig): config is Logging["config"] => "logKeys" in config;
const canLogTo = (native: NativeConnection): native is Logging["connection"] => "setKeylog" in native;

/** Frame types of all 1-RTT packets that a server sends to a client until `isDone`. */
const serverFramesOf = async (mesh: Mesh, isDone: (types: ReadonlySet<number>) => boolean): Promise<Set<number>> => {
  const directory = await mkdtemp(path.join(tmpdir(), "quaymesh-keys-"));
  const file = path.join(directory, "keys");
  const binding = await loadBinding();
  const config = buildConfig(binding, {
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    idleTimeoutMs: 10_000,
    maxStreams: 1,
    datagramBytes: 1350,
    streamWindowBytes: 1000,
    connectionWindowBytes: 1000,
  });
  if (!canLog(config)) throw new Error("the binding logs no keys");
  config.logKeys();
  const socket = dgram.createSocket("udp4");
  socket.connect(mesh.listener.address.port, "127.0.0.1");
  await once(socket, "connect");
  const local = { host: "127.0.0.1", port: socket.address().port };
  const native = binding.Connection.connect(
    SERVER_NAME,
    randomBytes(CONNECTION_ID_BYTES),
    local,
    mesh.listener.address,
    config,
  );
  if (!canLogTo(native)) throw new Error("the binding logs no keys");
  native.setKeylog(file);
  const incoming = on(socket, "message");
  const slot = Buffer.alloc(1350);
  const types = new Set<number>();
  try {
    while (!isDone(types)) {
      for (let sent = native.send(slot); sent !== null; sent = native.send(slot)) {
        socket.send(Buffer.from(slot.subarray(0, sent[0])));
      }
      const { value } = await incoming.next();
      const datagram: unknown = Array.isArray(value) ? value[0] : undefined;
      if (!Buffer.isBuffer(datagram)) throw new TypeError("not a datagram");
      native.recv(Buffer.from(datagram), { from: mesh.listener.address, to: local });
      if (!native.isEstablished()) continue;
      const frames = new ServerFrames(await readFile(file, "utf8"), CONNECTION_ID_BYTES);
      for (const type of frames.typesIn(datagram) ?? []) types.add(type);
    }
    return types;
  } finally {
    socket.close();
    await rm(directory, { recursive: true, force: true });
  }
};

const HANDSHAKE_DONE = 0x1e;
const CONNECTION_CLOSE = 0x1c;

test("a client that is accepted gets HANDSHAKE_DONE, so that its absence says something", async () => {
  await using mesh = await openMesh();
  const types = await serverFramesOf(mesh, (seen) => seen.has(HANDSHAKE_DONE));
  expect(types).toContain(HANDSHAKE_DONE);
  expect(types).not.toContain(CONNECTION_CLOSE);
});

test.each(["revoked", "expired", "unknown", "denied", "frozen"] as const)(
  "a client that is refused as %s gets the close and no HANDSHAKE_DONE",
  async (reason) => {
    await using mesh = await openMesh({ authorize: refusing(reason) });
    const types = await serverFramesOf(mesh, (seen) => seen.has(CONNECTION_CLOSE));
    expect([...types]).toEqual([CONNECTION_CLOSE]);
  },
);
