import { expect, test } from "vitest";
import type { HostPort } from "../src/binding.ts";
import { PeerPaths } from "../src/peer-paths.ts";
import type { NativePaths } from "../src/peer-paths.ts";

const local: HostPort = { host: "192.0.2.1", port: 1 };
const at = (port: number): HostPort => ({ host: "198.51.100.7", port });
const OUT = new Uint8Array(10);

type PathEvent = NonNullable<ReturnType<NativePaths["pathEventNext"]>>;

/** quiche's part: what it would send on which path, each thing once. */
const fakeNative = () => {
  const events: PathEvent[] = [];
  const waiting = new Map<number, number>();
  const probed: number[] = [];
  const take = (port: number): [number, { to: HostPort }] | null => {
    const bytes = waiting.get(port);
    waiting.delete(port);
    return bytes === undefined ? null : [bytes, { to: at(port) }];
  };
  let active = 1;
  const forgotten = new Set<number>();
  const native: NativePaths = {
    pathEventNext: () => events.shift() ?? null,
    pathStats: () => [
      { localHost: at(0), peerHost: at(active), active: true, rtt: 0, cwnd: 0, pmtu: 1350, deliveryRate: 0 },
    ],
    probePath: (_local, peer) => {
      if (forgotten.has(peer.port)) throw new Error("InvalidState");
      probed.push(peer.port);
      waiting.set(peer.port, 40);
      return 0;
    },
    sendOnPath: (_out, _local, peer) => take(peer.port),
    send: () => take(0),
  };
  const moveTo = (port: number): void => {
    active = port;
    events.push({ type: "PeerMigrated", new: at(port) });
  };
  return { native, events, waiting, probed, moveTo, forgotten };
};

const sendAll = (paths: PeerPaths): [number, number][] => {
  const sent: [number, number][] = [];
  const active = paths.active();
  for (let next = paths.next(OUT, active); next !== null; next = paths.next(OUT, active)) {
    sent.push([next[0], next[1].to.port]);
  }
  return sent;
};

test("a path that was left is challenged at once, where the peer is now, and after its data", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  quiche.moveTo(2);
  expect(paths.update()).toBe(true);
  quiche.waiting.set(2, 1200);
  expect(quiche.probed).toStrictEqual([1]);
  expect(sendAll(paths)).toStrictEqual([
    [1200, 2],
    [40, 2],
  ]);
  expect(sendAll(paths)).toStrictEqual([]);
});

test("what quiche wants to send elsewhere goes there", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  quiche.events.push({ type: "New", peer: at(2) });
  expect(paths.update()).toBe(true);
  expect(paths.update()).toBe(false);
  quiche.waiting.set(0, 30);
  expect(sendAll(paths)).toStrictEqual([[30, 0]]);
});

test("an address that was not validated is never vouched for by an answer from another", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  // Seen at 5, but no answer came from there.
  quiche.events.push({ type: "New", peer: at(5) }, { type: "New", peer: at(2) });
  quiche.events.push({ type: "FailedValidation", peer: at(5) });
  quiche.moveTo(2);
  paths.update();
  quiche.waiting.set(5, 1200);
  expect(quiche.probed).toStrictEqual([1]);
  expect(sendAll(paths)).toStrictEqual([[40, 2]]);
});

test("a peer that comes back is not sent its own path's challenges elsewhere", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  quiche.moveTo(2);
  paths.update();
  quiche.moveTo(1);
  paths.update();
  expect(quiche.probed).toStrictEqual([1, 2]);
  expect(sendAll(paths)).toStrictEqual([
    [40, 1],
    [40, 1],
  ]);
});

test("paths that quiche has forgotten are left alone", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  quiche.forgotten.add(1);
  quiche.moveTo(2);
  quiche.moveTo(3);
  quiche.events.push({ type: "Closed", peer: at(2) });
  paths.update();
  expect(sendAll(paths)).toStrictEqual([]);
});

test("only the last addresses are asked about", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  for (let port = 2; port <= 8; port += 1) quiche.moveTo(port);
  paths.update();
  expect(sendAll(paths)).toHaveLength(4);
});

test("an address that did not answer is asked again while it is the newest, a few times, also by a sending pass alone", () => {
  const quiche = fakeNative();
  const paths = new PeerPaths(quiche.native, local, at(1));
  quiche.events.push({ type: "New", peer: at(2) });
  expect(paths.update()).toBe(true);
  const failed = { type: "FailedValidation", peer: at(2) } as const;
  // quiche goes back to where it was before.
  quiche.events.push(failed, { type: "PeerMigrated", new: at(1) });
  expect(paths.active()).toStrictEqual(at(1));
  expect(quiche.probed).toStrictEqual([2]);
  // What the pass learned is still told.
  expect(paths.update()).toBe(true);
  for (let failures = 0; failures < 10; failures += 1) quiche.events.push(failed);
  paths.update();
  expect(quiche.probed).toStrictEqual([2, 2, 2, 2, 2]);
  quiche.events.push({ type: "New", peer: at(3) }, failed, { type: "FailedValidation", peer: at(3) });
  paths.update();
  expect(quiche.probed).toStrictEqual([2, 2, 2, 2, 2, 3]);
});
