import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { expect, test } from "vitest";
import { DISPLACED_AFTER_MS, HalfOpen } from "../src/half-open.ts";
import { resolveLimits } from "../src/options.ts";
import { sealInitial } from "./support/initial-packet.ts";
import { ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";

const proved = (host: string, now = 0) => ({ host, validated: true, now });

const openRoom = (max: number) => {
  const halfOpen = new HalfOpen(max);
  const displaced: string[] = [];
  return {
    halfOpen,
    displaced,
    /** Knock, and hold a place where there is one. @returns whether there was */
    knock: (name: string, from: ReturnType<typeof proved>, isFull = false): boolean => {
      if (!halfOpen.makeRoom(from, isFull)) return false;
      halfOpen.add({ name }, { displace: () => void displaced.push(name) }, from);
      return true;
    },
  };
};

test("there are no more handshakes under way than allowed, however many addresses they come from", () => {
  const { knock, halfOpen, displaced } = openRoom(8);
  for (let index = 0; index < 100; index += 1) knock(`${index}`, proved(`192.0.2.${index}`));
  expect(halfOpen.size).toBe(8);
  expect(displaced).toEqual([]);
});

test("a handshake that takes long gives its place to a newcomer, the oldest first; one that does not keeps it", () => {
  const { knock, displaced } = openRoom(4);
  for (let index = 0; index < 4; index += 1) knock(`${index}`, proved(`192.0.2.${index}`, index));
  expect(knock("early", proved("198.51.100.1", DISPLACED_AFTER_MS - 1))).toBe(false);
  expect(knock("late", proved("198.51.100.1", DISPLACED_AFTER_MS + 1))).toBe(true);
  expect(knock("later", proved("198.51.100.2", DISPLACED_AFTER_MS + 1))).toBe(true);
  expect(displaced).toEqual(["0", "1"]);
  expect(knock("latest", proved("198.51.100.3", DISPLACED_AFTER_MS + 1))).toBe(false);
});

test.each([
  ["an IPv4 address", "192.0.2.1", "192.0.2.1", "192.0.2.2"],
  ["an IPv6 network of 64 bits", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"],
])("%s holds a quarter of the places, and displaces its own alone", (_what, one, same, other) => {
  const { knock, halfOpen, displaced } = openRoom(16);
  for (let index = 0; index < 50; index += 1) knock(`${index}`, proved(index % 2 === 0 ? one : same));
  expect(halfOpen.size).toBe(4);
  expect(knock("neighbour", proved(other))).toBe(true);
  expect(knock("again", proved(same, DISPLACED_AFTER_MS))).toBe(true);
  expect(displaced).toEqual(["0"]);
});

test("an address that is only claimed uses up nobody's share, and this machine has none", () => {
  const { knock, halfOpen } = openRoom(16);
  for (let index = 0; index < 8; index += 1) knock(`${index}`, { host: "192.0.2.1", validated: false, now: 0 });
  for (let index = 0; index < 4; index += 1) expect(knock("owner", proved("192.0.2.1"))).toBe(true);
  expect(knock("owner", proved("192.0.2.1"))).toBe(false);
  for (let index = 0; index < 4; index += 1) expect(knock("local", proved("127.0.0.1"))).toBe(true);
  expect(halfOpen.size).toBe(16);
});

test("where connections hold every place, a newcomer gets one of a handshake that takes long, or none", () => {
  const { knock, displaced } = openRoom(16);
  expect(knock("nobody to displace", proved("192.0.2.1"), true)).toBe(false);
  knock("slow", proved("192.0.2.2"));
  expect(knock("too early", proved("192.0.2.1"), true)).toBe(false);
  expect(knock("newcomer", proved("192.0.2.1", DISPLACED_AFTER_MS), true)).toBe(true);
  expect(displaced).toEqual(["slow"]);
});

test("where a flood holds every place, the older half keep theirs and the younger half turn over, for proved addresses alone", () => {
  const { knock, halfOpen, displaced } = openRoom(16);
  for (let index = 0; index < 16; index += 1) knock(`${index}`, proved(`192.0.2.${index}`, index));
  expect(knock("forged", { host: "198.51.100.1", validated: false, now: 20 })).toBe(false);
  for (let index = 16; index < 24; index += 1) expect(knock(`${index}`, proved(`192.0.2.${index}`, 20))).toBe(true);
  expect(displaced).toEqual(["8", "9", "10", "11", "12", "13", "14", "15"]);
  expect(halfOpen.size).toBe(16);
  // Nobody of the older half had to go before its time.
  expect(knock("late", proved("192.0.2.200", DISPLACED_AFTER_MS))).toBe(true);
  expect(displaced.at(-1)).toBe("0");
});

test("a place is free again when its handshake is over, and ending twice frees one", () => {
  const halfOpen = new HalfOpen(1);
  const key = {};
  halfOpen.add(key, { displace: () => {} }, proved("192.0.2.1"));
  expect(halfOpen.makeRoom(proved("192.0.2.2"), false)).toBe(false);
  halfOpen.delete(key);
  halfOpen.delete(key);
  expect(halfOpen.size).toBe(0);
  expect(halfOpen.makeRoom(proved("192.0.2.2"), false)).toBe(true);
});

test("the defaults are those of the design", () => {
  expect(resolveLimits(undefined)).toMatchObject({
    maxConnections: 256,
    maxHalfOpen: 128,
    handshakeTimeoutMs: 3000,
    firstByteTimeoutMs: 2000,
  });
  expect(resolveLimits({ maxConnections: 1 }).maxHalfOpen).toBe(1);
  expect(resolveLimits({ maxConnections: 10 }).maxHalfOpen).toBe(10);
  expect(resolveLimits({ maxConnections: 100_000 }).maxHalfOpen).toBe(1024);
  expect(resolveLimits({ maxConnections: 100_000, maxHalfOpen: 7 }).maxHalfOpen).toBe(7);
});

test("strangers that begin handshakes and never go on hold their places only until somebody wants them", async () => {
  const mesh = await openMesh({ limits: { maxHalfOpen: 4, handshakeTimeoutMs: 60_000 } });
  const serving = serveEchoOnAll(mesh.listener);
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const knock = (): Promise<unknown> => {
    const hello = sealInitial({
      dcid: randomBytes(8),
      scid: randomBytes(20),
      number: 0,
      frames: Buffer.of(0x01),
    });
    return new Promise((resolve) => {
      socket.send(hello, mesh.listener.address.port, "127.0.0.1", resolve);
    });
  };
  for (let index = 0; index < 10; index += 1) await knock();
  await expect.poll(() => mesh.listener.stats().refused["half-open"] ?? 0).toBe(6);
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 4, connections: 4 });
  // At first nobody gets in, and hears that there is no room; then the strangers have had their time.
  await expect
    .poll(async () => (await mesh.dial().catch(() => undefined)) !== undefined, { timeout: 10_000 })
    .toBe(true);
  expect(mesh.listener.stats().refused["displaced"]).toBe(1);
  const node = await mesh.dial();
  expect(await ask(node, Buffer.from("in"))).toHaveLength(2);
  socket.close();
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a handshake that is not complete in time is given up without a word, and counted", async () => {
  await using mesh = await openMesh({ limits: { handshakeTimeoutMs: 200 } });
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const hello = sealInitial({ dcid: randomBytes(8), scid: randomBytes(20), number: 0, frames: Buffer.of(0x01) });
  await new Promise((resolve) => {
    socket.send(hello, mesh.listener.address.port, "127.0.0.1", resolve);
  });
  // The acknowledgement of what it said; nothing follows.
  await once(socket, "message");
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 1, connections: 1 });
  const { datagramsSent } = mesh.listener.stats();
  await expect.poll(() => mesh.listener.stats().refused.timeout, { timeout: 10_000 }).toBe(1);
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 0, connections: 0, datagramsSent });
  socket.close();
});

test("a token gives its client one place however often it is shown, and somebody else none", async () => {
  await using mesh = await openMesh({ transport: { retry: "always" } });
  const open = async () => {
    const socket = dgram.createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return socket;
  };
  const [client, thief] = [await open(), await open()];
  const scid = randomBytes(20);
  const say = async (socket: dgram.Socket, packet: Buffer): Promise<Buffer> => {
    const answer = once(socket, "message");
    socket.send(packet, mesh.listener.address.port, "127.0.0.1");
    const [datagram] = await answer;
    if (!Buffer.isBuffer(datagram)) throw new TypeError("not a datagram");
    return datagram;
  };
  const ping = Buffer.of(0x01);
  const retry = await say(client, sealInitial({ dcid: randomBytes(8), scid, number: 0, frames: ping }));
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 0, connections: 0, refused: { retry: 1 } });
  // Our id follows the client's; the token is what is left but the 16-byte integrity tag (RFC 9000 section 17.2.5).
  const shown = { dcid: retry.subarray(27, 47), token: retry.subarray(47, -16), scid, frames: ping };
  for (let number = 1; number <= 5; number += 1) await say(client, sealInitial({ ...shown, number }));
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 1, connections: 1, refused: { retry: 1 } });
  // To the same id the handshake under way hears it, and takes it for its client's that has moved; another id has no such token.
  await say(thief, sealInitial({ ...shown, dcid: randomBytes(20), number: 1 }));
  expect(mesh.listener.stats()).toMatchObject({ halfOpen: 1, connections: 1, refused: { retry: 1, token: 1 } });
  client.close();
  thief.close();
});
