import { expect, test } from "vitest";
import { openProxy } from "../../../test/network/proxy.ts";
import { Overdue } from "../src/overdue.ts";
import { accept, ask, openMesh, serveEcho } from "./support/mesh.ts";

const IDLE_MS = 30_000;
const HOST = { host: "127.0.0.1", port: 1 };
const STATS = {
  sent: 0,
  lost: 0,
  streamRetransBytes: 0,
  sentBytes: 0,
  recvBytes: 0,
  peerMaxUdpPayloadSize: 65_527,
  pathsCount: 1,
};

/** quiche, as far as it is asked. Its round trip is `rtt` from the start. */
function fakeNative(rtt: number, peerMaxIdleTimeout = IDLE_MS) {
  const fake = {
    rtt,
    recv: 0,
    pings: 0,
    pathStats: () => [
      {
        localHost: HOST,
        peerHost: HOST,
        active: true,
        rtt: fake.rtt,
        cwnd: 13_500,
        pmtu: 1350,
        deliveryRate: 0,
        sentBytes: 0,
        recvBytes: 0,
      },
    ],
    stats: () => ({ ...STATS, recv: fake.recv, peerMaxIdleTimeout }),
    sendAckEliciting: () => {
      fake.pings += 1;
    },
  };
  return fake;
}

/** Sending passes every 10 ms for a second. */
const second = (overdue: Overdue, timeoutMs: number | null, from: number, each: () => void = () => {}): void => {
  for (let now = from; now < from + 1000; now += 10) {
    each();
    overdue.step(timeoutMs, now);
  }
};

test("a timer of quiche that runs out soon, and none, are left alone", () => {
  const native = fakeNative(20);
  const overdue = new Overdue(native, IDLE_MS);
  for (const timeoutMs of [null, 1, 280, 27_500, 30_000]) second(overdue, timeoutMs, 0);
  expect(native.pings).toBe(0);
  expect(overdue.dueAt()).toBe(Infinity);
});

test("while quiche would wait for seconds, a peer that is heard is asked at a steady pace", () => {
  const native = fakeNative(20);
  const overdue = new Overdue(native, IDLE_MS);
  expect(overdue.step(5000, 0)).toBe(false);
  expect(overdue.dueAt()).toBe(140);
  expect(overdue.step(4870, 139)).toBe(false);
  expect(overdue.step(4860, 140)).toBe(true);
  second(overdue, 4000, 150, () => (native.recv += 1));
  expect(native.pings).toBe(8);
});

test("a peer that is not heard is asked a few times, and again once it is heard", () => {
  const native = fakeNative(20);
  native.recv = 7;
  const overdue = new Overdue(native, IDLE_MS);
  second(overdue, 5000, 0);
  expect(native.pings).toBe(3);
  second(overdue, 4000, 1000);
  expect(native.pings).toBe(3);
  native.recv += 1;
  second(overdue, 3000, 2000);
  expect(native.pings).toBe(6);
});

test("a quiet connection that noise keeps awake is not taken for one that waits", () => {
  const native = fakeNative(20);
  const overdue = new Overdue(native, IDLE_MS);
  for (let now = 0; now < IDLE_MS; now += 50) overdue.step(IDLE_MS - now, now);
  expect(native.pings).toBe(0);
});

test("on a long path the wait is as much longer", () => {
  const overdue = new Overdue(fakeNative(600), IDLE_MS);
  overdue.step(1900, 0);
  expect(overdue.dueAt()).toBe(Infinity);
  overdue.step(5000, 0);
  expect(overdue.dueAt()).toBe(1000);
});

test("the peer's idle timeout counts where it is shorter, and a probe timeout may be longer than both", () => {
  const native = fakeNative(20, 10_000);
  const overdue = new Overdue(native, IDLE_MS);
  second(overdue, 9500, 0);
  expect(native.pings).toBe(0);
  native.rtt = 12_000;
  // Three probe timeouts, as the idle timeout then is, and one.
  second(overdue, 39_000, 1000);
  expect(native.pings).toBe(0);
  second(overdue, 13_000, 2000);
  expect(native.pings).toBe(3);
});

test(
  "the loss of an answer is noticed soon where quiche has come to believe in a round trip of seconds",
  { timeout: 30_000 },
  async () => {
    await using mesh = await openMesh();
    await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port, weather: { delayMs: 10 } });
    const accepted = accept(mesh.listener);
    const node = await mesh.dial({ port: proxy.port });
    const gateway = await accepted;
    const serving = serveEcho(gateway);
    const bytes = Buffer.alloc(50);
    // The next datagram of the gateway, which is the answer.
    const askAndLose = async (): Promise<number> => {
      const { lost } = proxy.counts("down");
      proxy.change({ loss: 1, delayMs: 10 }, "down");
      const from = performance.now();
      const answered = ask(node, bytes);
      await expect.poll(() => proxy.counts("down").lost, { interval: 1 }).toBeGreaterThan(lost);
      proxy.change({ delayMs: 10 }, "down");
      await answered;
      return performance.now() - from;
    };
    for (let loss = 0; loss < 5; loss += 1) await askAndLose();
    const until = performance.now() + 12_000;
    while (gateway.stats().rttMs < 3000 && performance.now() < until) await ask(node, bytes);
    // One more of the same: without a question in between, it would be repeated after such a round trip.
    expect(await askAndLose()).toBeLessThan(2000);
    await mesh[Symbol.asyncDispose]();
    await serving;
  },
);
