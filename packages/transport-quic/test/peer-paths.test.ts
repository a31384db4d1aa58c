import { expect, test } from "vitest";
import type { HostPort } from "../src/binding.ts";
import { PeerPaths } from "../src/peer-paths.ts";
import type { NativePaths } from "../src/peer-paths.ts";

const local: HostPort = { host: "192.0.2.1", port: 1 };
const HOST = "198.51.100.7";
const at = (port: number): HostPort => ({ host: HOST, port });
const OUT = new Uint8Array(1350);
/** What a challenge without data takes. */
const ASKED = 50;
const RTT_MS = 30;

type PathEvent = NonNullable<ReturnType<NativePaths["pathEventNext"]>>;
type PathStats = ReturnType<NativePaths["pathStats"]>[number];

/** quiche's part: it pads challenges to what it is given, and sends what waits on the active path. */
class FakeNative implements NativePaths {
  readonly events: PathEvent[] = [];
  readonly paths = new Map<string, PathStats>();
  readonly asked: number[] = [];
  readonly forgotten = new Set<number>();
  /** Bytes of data that wait. */
  data = 0;
  readonly #requested = new Set<string>();
  #active = "";

  constructor() {
    this.activate(at(1), RTT_MS);
  }

  activate(peerHost: HostPort, rtt: number, recvBytes = 100): void {
    for (const [key, path] of this.paths) this.paths.set(key, { ...path, active: false });
    this.#active = `${peerHost.host} ${peerHost.port}`;
    const { sentBytes = 0 } = this.paths.get(this.#active) ?? {};
    const path = { localHost: local, peerHost, active: true, rtt, recvBytes, sentBytes };
    this.paths.set(this.#active, { ...path, cwnd: 13_500, pmtu: 1350, deliveryRate: 0 });
  }

  /** The peer is at an address that has yet to answer. */
  appears(peer: HostPort, recvBytes = 100): void {
    this.activate(peer, 333, recvBytes);
    this.#requested.add(this.#active);
    this.events.push({ type: "New", peer });
  }

  moves(peer: HostPort): void {
    this.activate(peer, RTT_MS);
    this.events.push({ type: "Validated", peer }, { type: "PeerMigrated", new: peer });
  }

  /** As in a timer. */
  fails(peer: HostPort, fallback: HostPort): void {
    this.events.push({ type: "FailedValidation", peer }, { type: "PeerMigrated", new: fallback });
    this.activate(fallback, RTT_MS);
  }

  closes(peer: HostPort): void {
    this.forgotten.add(peer.port);
    this.events.push({ type: "Closed", peer });
  }

  pathEventNext(): PathEvent | null {
    return this.events.shift() ?? null;
  }

  pathStats(): PathStats[] {
    return [...this.paths.values()];
  }

  probePath(_local: HostPort, peer: HostPort): number {
    if (this.forgotten.has(peer.port)) throw new Error("InvalidState");
    this.#requested.add(`${peer.host} ${peer.port}`);
    return 0;
  }

  sendOnPath(out: Uint8Array, _local: HostPort, peer: HostPort): [number, { to: HostPort }] | null {
    const key = `${peer.host} ${peer.port}`;
    const isAsked = this.#requested.delete(key);
    if (isAsked) this.asked.push(peer.port);
    const taken = key === this.#active ? Math.min(this.data, out.length) : 0;
    this.data -= taken;
    const bytes = isAsked ? out.length : taken;
    const path = this.paths.get(key);
    if (path !== undefined) this.paths.set(key, { ...path, sentBytes: path.sentBytes + bytes });
    return bytes === 0 ? null : [bytes, { to: peer }];
  }

  send(out: Uint8Array): [number, { to: HostPort }] | null {
    const path = [...this.paths.values()].find(
      ({ peerHost, active }) => active || this.#requested.has(`${peerHost.host} ${peerHost.port}`),
    );
    return path === undefined ? null : this.sendOnPath(out, local, path.peerHost);
  }
}

const open = (): { quiche: FakeNative; paths: PeerPaths } => {
  const quiche = new FakeNative();
  return { quiche, paths: new PeerPaths(quiche, local, at(1)) };
};

/** A sending pass: lengths and ports of datagrams. */
const pass = (paths: PeerPaths, nowMs = 0): [number, number][] => {
  paths.begin(nowMs);
  const sent: [number, number][] = [];
  for (let next = paths.next(OUT); next !== null; next = paths.next(OUT)) sent.push([next[0], next[1].to.port]);
  return sent;
};

const bytesOf = (sent: [number, number][]): number => sent.reduce((sum, [bytes]) => sum + bytes, 0);

test("a path that was left is challenged at once, where the peer is now, and after its data", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  expect(paths.update()).toBe(true);
  expect(paths.update()).toBe(false);
  quiche.data = 1200;
  expect(pass(paths)).toStrictEqual([
    [1200, 2],
    [ASKED, 2],
  ]);
  expect(quiche.asked).toStrictEqual([1]);
  expect(pass(paths)).toStrictEqual([]);
});

test("the challenge of a path that was left is repeated ever more rarely, and not for ever", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  const askedAtMs: number[] = [];
  for (let nowMs = -1; nowMs !== Infinity; nowMs = paths.begin(nowMs)) {
    if (nowMs > 0) expect(pass(paths, nowMs - 1)).toStrictEqual([]);
    expect(pass(paths, nowMs)).toStrictEqual([[ASKED, 2]]);
    askedAtMs.push(nowMs);
  }
  expect(askedAtMs).toStrictEqual([-1, 59, 179, 419, 899, 1859, 3779, 7619]);
});

test("a path is not asked about while the one it was left for may be given up, for a challenge of it that was lost", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2), 1000);
  paths.update();
  pass(paths, 0);
  pass(paths, 60);
  quiche.moves(at(2));
  paths.update();
  expect(quiche.asked).toStrictEqual([2, 2]);
  expect(pass(paths, 61)).toStrictEqual([]);
  expect(paths.begin(62)).toBe(61 + 240);
  expect(pass(paths, 61 + 240)).toStrictEqual([[ASKED, 2]]);
  expect(quiche.asked).toStrictEqual([2, 2, 1]);
});

test("a path that was left is asked about no more once it answered", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  pass(paths, 0);
  quiche.events.push({ type: "Validated", peer: at(1) });
  paths.update();
  expect(paths.begin(0)).toBe(Infinity);
  expect(pass(paths, 10_000)).toStrictEqual([]);
});

test("challenges of paths that were left begin anew when the peer moves on, as they went to where it is not", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  pass(paths, 0);
  quiche.moves(at(3));
  paths.update();
  expect(pass(paths, 1)).toStrictEqual([
    [ASKED, 3],
    [ASKED, 3],
  ]);
  expect(quiche.asked).toStrictEqual([1, 1, 2]);
});

test("an address that has not answered is sent one datagram a pass, and never more than three times what came from it", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2), 2000);
  paths.update();
  quiche.data = 1_000_000;
  expect(pass(paths)).toStrictEqual([[1350, 2]]);
  let bytes = 1350;
  for (let nowMs = 1; nowMs < 20_000; nowMs += 10) {
    const sent = pass(paths, nowMs);
    expect(sent.length).toBeLessThan(2);
    bytes += bytesOf(sent);
  }
  expect(bytes).toBeLessThanOrEqual(6000);
});

test("an address of which little came is asked more than once before it answers", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2), 40);
  paths.update();
  quiche.data = 1_000_000;
  expect(pass(paths, 0)).toStrictEqual([[ASKED, 2]]);
  expect(pass(paths, 1)).toStrictEqual([]);
  expect(pass(paths, paths.begin(1))).toStrictEqual([[ASKED, 2]]);
  expect(pass(paths, 10_000)).toStrictEqual([[20, 2]]);
  expect(pass(paths, 20_000)).toStrictEqual([]);
});

test("data flows where something was acknowledged, as quiche allows", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2));
  quiche.activate(at(2), 29);
  paths.update();
  quiche.data = 2700;
  expect(pass(paths)).toStrictEqual([
    [1350, 2],
    [1350, 2],
  ]);
});

test("an address that was left without an answer is never vouched for by an answer from another", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2));
  paths.update();
  pass(paths);
  quiche.moves(at(3));
  paths.update();
  expect(pass(paths)).toContainEqual([ASKED, 3]);
  // To quiche, what comes from there comes from elsewhere.
  const name = paths.nameOf(at(2));
  expect(name).not.toStrictEqual(at(2));
  expect(paths.nameOf(at(1))).toStrictEqual(at(1));
  expect(paths.addressOf(name)).toStrictEqual(at(2));
  quiche.appears(name);
  paths.update();
  expect(pass(paths, 10_000)).toContainEqual([125, 2]);
  expect(quiche.asked).toContain(name.port);
});

test("an address that is only seen is not asked in the name of another", () => {
  const { quiche, paths } = open();
  quiche.appears(at(5));
  quiche.moves(at(2));
  paths.update();
  expect(pass(paths)).toStrictEqual([
    [ASKED, 2],
    [ASKED, 5],
  ]);
  expect(quiche.asked).toStrictEqual([1, 5]);
  expect(paths.nameOf(at(5))).toStrictEqual(at(5));
});

test("what quiche sends when an address failed goes to the last that was validated", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  quiche.moves(at(3));
  quiche.appears(at(4));
  paths.update();
  pass(paths);
  quiche.fails(at(4), at(1));
  paths.timedOut();
  quiche.data = 1000;
  expect(pass(paths, 1)[0]).toStrictEqual([1000, 3]);
  // Until the peer is heard there.
  quiche.activate(at(1), RTT_MS, 200);
  quiche.data = 1000;
  expect(pass(paths, 2)[0]).toStrictEqual([1000, 1]);
});

test("an address that failed is asked again by itself, and before it is heard, after each timer until it answers", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2));
  paths.update();
  pass(paths, 0);
  quiche.fails(at(2), at(1));
  paths.timedOut();
  expect(paths.update()).toBe(true);
  expect(paths.hasFailed(at(2))).toBe(true);
  expect(paths.hasFailed(at(1))).toBe(false);
  expect(pass(paths, 1000)).toStrictEqual([[ASKED, 2]]);
  expect(paths.revive(OUT, at(2), 1000)).toStrictEqual([ASKED, { to: at(2) }]);
  expect(paths.hasFailed(at(2))).toBe(false);
  // quiche tells of the first time only.
  paths.timedOut();
  expect(paths.hasFailed(at(2))).toBe(true);
  quiche.moves(at(2));
  paths.update();
  paths.timedOut();
  expect(paths.hasFailed(at(2))).toBe(false);
});

test("noise from an address that was left and failed does not keep its challenges from where the peer is", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  pass(paths, 0);
  quiche.events.push({ type: "FailedValidation", peer: at(1) });
  paths.timedOut();
  expect(paths.hasFailed(at(1))).toBe(true);
  expect(paths.revive(OUT, at(1), 1000)).toStrictEqual([ASKED, { to: at(2) }]);
  expect(paths.hasFailed(at(1))).toBe(false);
  expect(pass(paths, 10_000)).toStrictEqual([[ASKED, 2]]);
});

test("the address where the peer is can fail too, and is asked again", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  pass(paths, 0);
  quiche.fails(at(2), at(1));
  paths.timedOut();
  pass(paths, 10_000);
  expect(quiche.asked.filter((port) => port === 2)).toHaveLength(1);
});

test("a peer that comes back is not sent its own path's challenges elsewhere", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  quiche.moves(at(1));
  paths.update();
  expect(pass(paths)).toStrictEqual([
    [1350, 1],
    [ASKED, 1],
  ]);
  expect(quiche.asked).toStrictEqual([1, 2]);
});

test("a peer that comes back to an address that quiche has given up is asked there", () => {
  const { quiche, paths } = open();
  quiche.moves(at(2));
  paths.update();
  pass(paths, 0);
  quiche.activate(at(1), RTT_MS);
  expect(pass(paths, 1)).toContainEqual([1350, 1]);
});

test("paths that quiche has forgotten are left alone", () => {
  const { quiche, paths } = open();
  quiche.forgotten.add(1);
  quiche.moves(at(2));
  quiche.moves(at(3));
  quiche.closes(at(2));
  paths.update();
  expect(pass(paths)).toStrictEqual([]);
});

test("only the last addresses are asked about", () => {
  const { quiche, paths } = open();
  for (let port = 2; port <= 8; port += 1) quiche.moves(at(port));
  paths.update();
  expect(pass(paths).filter(([bytes]) => bytes === ASKED)).toHaveLength(4);
});

test("a connection that is over holds nothing back", () => {
  const { quiche, paths } = open();
  quiche.appears(at(2), 30);
  paths.update();
  pass(paths);
  quiche.data = 90;
  expect(paths.last(OUT)).toStrictEqual([90, { to: at(2) }]);
});
