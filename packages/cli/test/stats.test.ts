import type { GatewayStats } from "@quaymesh/gateway/client";
import { expect, test } from "vitest";
import { statsRows } from "../src/commands/gateway-stats.ts";

const HUGE = 9_007_199_254_740_991;
const COLUMNS = 80;
const LABEL = 13;

const stats = (over: Partial<GatewayStats["transport"]> = {}): GatewayStats => ({
  startedAt: 1_700_000_000_000,
  transport: {
    connections: 10_000,
    halfOpen: 1024,
    accepted: 123_456,
    refused: { busy: 3, shape: 700, revoked: 0, "wrong-protocol": 12, "half-open": 5, retry: 40 },
    cut: { "frame-progress": 2 },
    throttled: 0,
    datagramsReceived: 48_112,
    datagramsSent: 51_000,
    bytesReceived: 65_000_000,
    bytesSent: 512,
    sendErrors: 1,
    ...over,
  },
  sessions: { online: 9_876, opened: 12_345, superseded: 67, revoked: 8 },
  revocationEpoch: 118,
  firstOffset: 1,
  lastOffset: 48_112,
  tasks: { waiting: 1, placed: 2, retrying: 3 },
  store: { state: "ok", queued: 0 },
  log: {
    bytes: 9_876_543_210,
    oldestAt: 1_690_000_000_000,
    fileBytes: 12_345_678_901,
    freeBytes: 1_234_567_890,
    maxAgeMs: 30 * 86_400_000,
    maxBytes: 10_000_000_000,
    maxEvents: 0,
    dropped: 123_456_789,
    heldBy: ["operator/nightly-export", "device:01J00000000000000000000000/x"],
    lapsed: 1,
    clockBehindMs: 3_600_000,
    checkedTo: 48_000,
    damaged: 2,
  },
  ingest: { throttledRate: 17, throttledQuota: 3, waiting: 2 },
});

const print = (rows: ReturnType<typeof statsRows>): string[] =>
  rows.map(([label, value]) => label.padEnd(LABEL) + value);

test("the counters fit a screen of 80 by 24, and every reason that came up is on it, the most frequent first", () => {
  const lines = print(statsRows(stats(), 1_700_000_060_000));
  expect(lines.length).toBeLessThan(24);
  expect(lines.filter((line) => line.length > COLUMNS)).toEqual([]);
  const text = lines.join("\n").replaceAll(/ +/gu, " ");
  expect(text).toContain("refused shape 700 retry 40 wrong-protocol 12\n half-open 5 busy 3");
  expect(text).toContain("cut frame-progress 2");
  expect(text).not.toContain("revoked 0");
  expect(text).toContain("10 000 held, 1 024 of them half open; 123 456 accepted");
  expect(text).toContain("counted for 60 s");
});

test("with nothing to tell it says so", () => {
  const lines = print(statsRows(stats({ refused: {}, cut: {} }), 1_700_000_060_000)).join("\n");
  expect(lines).toMatch(/refused +nobody/u);
  expect(lines).toMatch(/cut +nobody/u);
  expect(lines).toMatch(/held back +nobody/u);
});

test("numbers as large as they get still fit a line", () => {
  const lines = print(
    statsRows(stats({ datagramsSent: HUGE, throttled: HUGE, refused: { "wrong-protocol": HUGE } }), 0),
  );
  expect(lines.filter((line) => line.length > COLUMNS + LABEL)).toEqual([]);
});
