import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { expect, test } from "vitest";
import { buildConfig } from "../src/config.ts";
import { loadBinding } from "../src/binding.ts";
import { SERVER_NAME } from "./support/certificates.ts";
import { PROTOCOL, ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";
import type { Mesh } from "./support/mesh.ts";

const longHeader = (first: number, version: number, bytes: number, dcid: Buffer = randomBytes(20)): Buffer => {
  const versionBytes = Buffer.alloc(4);
  versionBytes.writeUInt32BE(version);
  const ids = [Buffer.of(dcid.length), dcid, Buffer.of(20), randomBytes(20)];
  const head = Buffer.concat([Buffer.of(first), versionBytes, ...ids]);
  return Buffer.concat([head, randomBytes(Math.max(0, bytes - head.length))]).subarray(0, bytes);
};

/** An Initial whose token, length and packet are well-formed from outside; only its protection is noise. */
const initial = (token: Buffer = Buffer.of(), dcid: Buffer = randomBytes(20)): Buffer => {
  const head = longHeader(0xc0, 1, 1 + 4 + 1 + dcid.length + 1 + 20, dcid);
  const rest = 1200 - head.length - 2 - token.length - 2;
  const length = Buffer.of(0x40 | (rest >> 8), rest & 0xff);
  return Buffer.concat([
    head,
    Buffer.of(0x40 | (token.length >> 8), token.length & 0xff),
    token,
    length,
    randomBytes(rest),
  ]);
};

interface Raw extends AsyncDisposable {
  send(datagram: Buffer): Promise<void>;
  next(): Promise<Buffer>;
}

const openRaw = async (port: number): Promise<Raw> => {
  const socket = dgram.createSocket("udp4");
  const connected = once(socket, "connect");
  socket.connect(port, "127.0.0.1");
  await connected;
  return {
    send: (datagram) =>
      new Promise((resolve, reject) => {
        socket.send(datagram, (error) => (error === null ? resolve() : reject(error)));
      }),
    next: async () => {
      const [datagram] = await once(socket, "message");
      if (!Buffer.isBuffer(datagram)) throw new TypeError("not a datagram");
      return datagram;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
};

/** First flights as real clients send them, each of a connection of its own. */
const helloMaker = async (mesh: Mesh): Promise<() => Buffer> => {
  const binding = await loadBinding();
  const { anchorsPem } = mesh.authority;
  const config = buildConfig(binding, {
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem },
    idleTimeoutMs: 1000,
    maxStreams: 1,
    datagramBytes: 1350,
    streamWindowBytes: 1000,
    connectionWindowBytes: 1000,
  });
  const local = { host: "127.0.0.1", port: 1 };
  const slot = Buffer.alloc(1350);
  return () => {
    const native = binding.Connection.connect(SERVER_NAME, randomBytes(20), local, mesh.listener.address, config);
    const sent = native.send(slot);
    if (sent === null) throw new Error("no first flight");
    return Buffer.from(slot.subarray(0, sent[0]));
  };
};

const refusals = (mesh: Mesh): Readonly<Record<string, number>> => mesh.listener.stats().refused;

// What a well-behaved node sends is behind everything sent before it on loopback, so its answer means all of that was handled.
const stillServes = async (mesh: Mesh, work: (raw: Raw) => Promise<void>): Promise<void> => {
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  expect(await ask(node, Buffer.from("before"))).toHaveLength(6);
  await using raw = await openRaw(mesh.listener.address.port);
  await work(raw);
  expect(await ask(node, Buffer.from("after"))).toHaveLength(5);
  await mesh[Symbol.asyncDispose]();
  await serving;
};

test("a 0-RTT long header, the datagram that ends other endpoints, is counted and dropped", async () => {
  const mesh = await openMesh();
  await stillServes(mesh, async (raw) => {
    await raw.send(longHeader(0xd0, 1, 1200));
    await raw.send(longHeader(0xd0, 1, 26));
    await raw.send(longHeader(0xd0, 1, 20));
  });
  expect(refusals(mesh)).toMatchObject({ shape: 3 });
});

test("garbage, truncated and empty datagrams leave a well-behaved connection undisturbed", async () => {
  const mesh = await openMesh();
  await stillServes(mesh, async (raw) => {
    const good = initial();
    for (let bytes = 0; bytes < 64; bytes += 1) await raw.send(good.subarray(0, bytes));
    for (const bytes of [1, 5, 20, 21, 22, 1199, 1200, 1500, 9000]) {
      for (const first of [0x00, 0x40, 0x80, 0xc0, 0xe0, 0xf0, 0xff]) {
        await raw.send(Buffer.concat([Buffer.of(first), randomBytes(bytes - 1)]));
        await raw.send(longHeader(first, 1, Math.max(7, bytes)));
      }
    }
    for (let index = 0; index < 100; index += 1) await raw.send(randomBytes(1200));
  });
  expect(refusals(mesh)["shape"]).toBeGreaterThan(100);
});

test("an Initial below 1200 bytes is not answered", async () => {
  const mesh = await openMesh();
  const before = mesh.listener.stats().datagramsSent;
  await stillServes(mesh, (raw) => raw.send(initial().subarray(0, 1199)));
  expect(before).toBe(0);
  expect(refusals(mesh)).toEqual({ shape: 1 });
});

test("another version is answered with ours, once, and shorter than the question", async () => {
  const mesh = await openMesh();
  await stillServes(mesh, async (raw) => {
    const dcid = randomBytes(20);
    const answer = raw.next();
    await raw.send(longHeader(0xc0, 0x6b3343cf, 1200, dcid));
    const packet = await answer;
    expect(packet.readUInt32BE(1)).toBe(0);
    expect(packet.length).toBeLessThan(100);
    // Source and destination are exchanged (RFC 9000 section 17.2.1).
    expect(packet.subarray(27, 47)).toEqual(dcid);
    expect(packet.readUInt32BE(47)).toBe(1);
    await raw.send(longHeader(0xc0, 0, 1200));
    await raw.send(longHeader(0xc0, 0x6b3343cf, 1199));
  });
  expect(refusals(mesh)).toEqual({ version: 1, shape: 2 });
});

test("with Retry asked of everybody nodes connect, and nothing is remembered of those that don't come back", async () => {
  const mesh = await openMesh({ transport: { retry: "always" } });
  await stillServes(mesh, async (raw) => {
    const answer = raw.next();
    await raw.send(initial());
    const packet = await answer;
    // A long header of type Retry.
    expect(packet.readUInt8(0) & 0xf0).toBe(0xf0);
    expect(mesh.listener.stats().connections).toBe(1);
  });
  expect(refusals(mesh)).toEqual({ retry: 2 });
});

test("a Retry token is worth nothing from another address, and its bearer is told", async () => {
  const mesh = await openMesh({ transport: { retry: "always" } });
  await stillServes(mesh, async (raw) => {
    const retried = raw.next();
    await raw.send(initial());
    const retry = await retried;
    // Our id follows the client's; the token is what is left but the 16-byte integrity tag (RFC 9000 section 17.2.5).
    const ours = retry.subarray(27, 47);
    const token = retry.subarray(47, -16);
    await using thief = await openRaw(mesh.listener.address.port);
    const told = thief.next();
    await thief.send(initial(token, ours));
    expect((await told).length).toBeLessThan(200);
    await thief.send(initial(randomBytes(64)));
  });
  expect(refusals(mesh)).toMatchObject({ token: 2 });
});

test("noise in the shape of Initials holds no place", async () => {
  const mesh = await openMesh({ limits: { maxConnections: 4 } });
  await stillServes(mesh, async (raw) => {
    for (let index = 0; index < 200; index += 1) await raw.send(initial());
    const newcomer = await mesh.dial();
    expect(await ask(newcomer, Buffer.from("hello"))).toHaveLength(5);
    expect(mesh.listener.stats().connections).toBe(2);
  });
  expect(refusals(mesh)["handshake"]).toBeGreaterThan(0);
});

test("a flood of half-open handshakes turns Retry on, holds no more than its share, and times out", async () => {
  const mesh = await openMesh({ limits: { handshakeTimeoutMs: 2000 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  await using raw = await openRaw(mesh.listener.address.port);
  const hello = await helloMaker(mesh);
  for (let index = 0; index < 500; index += 1) {
    await raw.send(hello());
    if (index % 50 === 0) expect(await ask(node, Buffer.from("still"))).toHaveLength(5);
  }
  expect(await ask(node, Buffer.from("still"))).toHaveLength(5);
  const { connections, refused } = mesh.listener.stats();
  expect(connections).toBeLessThanOrEqual(65);
  expect(refused["retry"]).toBeGreaterThan(400);
  // While the flood lasts, newcomers get in by Retry.
  const newcomer = await mesh.dial();
  expect(await ask(newcomer, Buffer.from("hello"))).toHaveLength(5);
  await expect.poll(() => mesh.listener.stats().connections, { timeout: 15_000 }).toBe(2);
  expect(refusals(mesh)["timeout"]).toBeGreaterThanOrEqual(64);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a peer that opens no stream is sent away", async () => {
  await using mesh = await openMesh({ limits: { firstByteTimeoutMs: 100 } });
  const node = await mesh.dial();
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x53, byPeer: true });
});
