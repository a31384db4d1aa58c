import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Vigil } from "../src/vigil.ts";

const IDLE_MS = 30_000;
/** quiche's timeout while only the idle one is left, and while a loss timer runs. */
const QUIET_MS = 29_000;
const LOSS_MS = 200;

interface FakeLink {
  isLive: boolean;
  hasRoom: boolean;
  heardBytes: number;
  timeoutMs: number | null;
  pings: number;
  readonly knocks: Uint8Array[];
  readonly vigil: Vigil;
  /** A sending pass. */
  flush(): void;
}

function fakeLink(): FakeLink {
  let sent = 0;
  let isPinging = false;
  const link: FakeLink = {
    isLive: true,
    hasRoom: true,
    heardBytes: 0,
    timeoutMs: LOSS_MS,
    pings: 0,
    knocks: [],
    flush: () => {
      if (isPinging && link.hasRoom) {
        sent += 1;
        link.pings += 1;
        isPinging = false;
      }
      link.vigil.flushed(link.timeoutMs);
    },
    vigil: new Vigil(
      {
        get isLive() {
          return link.isLive;
        },
        wake: () => link.flush(),
        native: {
          destinationId: () => new Uint8Array(8).fill(7),
          sendAckEliciting: () => {
            isPinging = true;
          },
          stats: () => ({
            sent,
            recv: 0,
            lost: 0,
            streamRetransBytes: 0,
            sentBytes: 0,
            recvBytes: link.heardBytes,
            peerMaxIdleTimeout: 0,
            peerMaxUdpPayloadSize: 65_527,
            pathsCount: 1,
          }),
          timeout: () => link.timeoutMs,
        },
      },
      { everyMs: 1000, idleTimeoutMs: IDLE_MS, knock: (datagram) => link.knocks.push(datagram) },
    ),
  };
  return link;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("while nothing is acknowledged and nothing heard, a ping goes out at a steady pace", () => {
  const link = fakeLink();
  link.flush();
  vi.advanceTimersByTime(999);
  expect(link.pings).toBe(0);
  vi.advanceTimersByTime(1);
  expect(link.pings).toBe(1);
  vi.advanceTimersByTime(5000);
  expect(link.pings).toBe(6);
  expect(link.knocks).toEqual([]);
});

test("a connection on which everything was acknowledged is left in peace", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.flush();
  expect(vi.getTimerCount()).toBe(0);
  link.timeoutMs = LOSS_MS;
  link.flush();
  link.heardBytes += 40;
  link.timeoutMs = QUIET_MS;
  vi.advanceTimersByTime(10_000);
  expect(link.pings).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("a connection that hears from its peer is not asked, however long it waits", () => {
  const link = fakeLink();
  link.flush();
  for (let second = 0; second < 5; second += 1) {
    link.heardBytes += 40;
    vi.advanceTimersByTime(1000);
  }
  expect(link.pings).toBe(0);
  vi.advanceTimersByTime(1000);
  expect(link.pings).toBe(1);
});

test("where the congestion window has no room for a ping, the peer's connection id is knocked on", () => {
  const link = fakeLink();
  link.hasRoom = false;
  link.flush();
  vi.advanceTimersByTime(2000);
  expect(link.pings).toBe(0);
  expect(link.knocks).toHaveLength(2);
  for (const knock of link.knocks) {
    expect(knock).toHaveLength(43);
    expect((knock[0] ?? 0) & 0xc0).toBe(0x40);
    expect([...knock.subarray(1, 9)]).toEqual(Array(8).fill(7));
  }
  expect(link.knocks[0]).not.toEqual(link.knocks[1]);
});

test("while an answer is owed and all is acknowledged, it asks after 1, 2, 4 and 8 intervals, then leaves it to keep-alive", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.vigil.spoke();
  link.flush();
  const pings: number[] = [];
  for (let second = 1; second <= 30; second += 1) {
    // The last ping was answered.
    link.heardBytes += 40;
    const before = link.pings;
    vi.advanceTimersByTime(1000);
    if (link.pings > before) pings.push(second);
  }
  expect(pings).toEqual([1, 3, 7, 15]);
  expect(vi.getTimerCount()).toBe(0);
});

test("an answer ends the wait for one, and the next word begins another", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.vigil.spoke();
  link.flush();
  vi.advanceTimersByTime(3000);
  expect(link.pings).toBe(2);
  link.vigil.answered();
  vi.advanceTimersByTime(10_000);
  expect(link.pings).toBe(2);
  link.vigil.spoke();
  link.flush();
  vi.advanceTimersByTime(1000);
  expect(link.pings).toBe(3);
});

test("a flow that falls silent is asked about once", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.vigil.answered();
  for (let second = 0; second < 3; second += 1) {
    link.heardBytes += 20_000;
    link.vigil.answered();
    vi.advanceTimersByTime(1000);
  }
  expect(link.pings).toBe(0);
  vi.advanceTimersByTime(1000);
  expect(link.pings).toBe(1);
  // It was only over: the ping is acknowledged, and nothing more comes.
  link.heardBytes += 40;
  vi.advanceTimersByTime(20_000);
  expect(link.pings).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test("a small answer is nothing to ask about", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.heardBytes += 500;
  link.vigil.answered();
  vi.advanceTimersByTime(20_000);
  expect(link.pings).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("a question that is not acknowledged is repeated at a steady pace, however long the answer was owed", () => {
  const link = fakeLink();
  link.timeoutMs = QUIET_MS;
  link.vigil.spoke();
  link.flush();
  vi.advanceTimersByTime(1000);
  link.timeoutMs = LOSS_MS;
  vi.advanceTimersByTime(5000);
  expect(link.pings).toBe(6);
});

test("a vigil that was ended and one over a dead connection ask nothing", () => {
  const ended = fakeLink();
  ended.flush();
  ended.vigil.end();
  const dead = fakeLink();
  dead.flush();
  dead.isLive = false;
  vi.advanceTimersByTime(5000);
  dead.vigil.ask();
  expect([ended.pings, dead.pings]).toEqual([0, 0]);
  expect(vi.getTimerCount()).toBe(0);
});
