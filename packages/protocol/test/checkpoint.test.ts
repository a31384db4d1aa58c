import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CLOSE_CODES,
  dialVerdict,
  isBehind,
  openGatewaySession,
  openNodeSession,
  parseCheckpoint,
  planRedial,
  stepGatewaySession,
  stepNodeSession,
  type Checkpoint,
  type Hello,
  type Welcome,
} from "@quaymesh/protocol";

const DEVICE = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const CHECKPOINT: Checkpoint = {
  era: 1,
  generation: 5,
  incarnation: new Uint8Array(16).fill(5),
  revocationEpoch: 7,
  offset: 100,
  revoked: [DEVICE],
  mac: new Uint8Array(32),
};
const hello: Hello = {
  v: 1,
  method: "session.open",
  device: DEVICE,
  nonce: new Uint8Array(16),
  outboxEpoch: new Uint8Array(16).fill(1),
  software: "test/1",
  platform: { os: "linux", arch: "x64" },
  capabilities: [],
  seen: CHECKPOINT,
};
const welcome: Welcome = {
  type: "welcome",
  sessionEpoch: 7,
  mesh: "harbor",
  heartbeatMs: 30_000,
  ackedSeq: 0,
  policyVersion: 0,
  limits: { maxFrameBytes: 524_288, maxBatchEvents: 256, maxEventBytes: 65_536 },
  time: 1_763_633_142_784,
};

const moments = fc.record({
  era: fc.integer({ min: 0, max: 2 }),
  generation: fc.integer({ min: 1, max: 3 }),
  revocationEpoch: fc.integer({ min: 0, max: 2 }),
  offset: fc.integer({ min: 0, max: 3 }),
});
/** Of one start there is one incarnation, unless a copy went on. */
const at = (moment: { era: number; generation: number; revocationEpoch: number; offset: number }): Checkpoint => ({
  ...CHECKPOINT,
  ...moment,
  incarnation: new Uint8Array(16).fill(moment.generation),
});

describe("an older state", () => {
  it("is one of an earlier era, or one that lacks anything of the same era", () => {
    const older: readonly Partial<Checkpoint>[] = [
      { era: 0, generation: 9, revocationEpoch: 99, offset: 9999 },
      { generation: 4 },
      { incarnation: new Uint8Array(16).fill(6) },
      { revocationEpoch: 6 },
      { generation: 6, incarnation: new Uint8Array(16).fill(6), offset: 99 },
    ];
    for (const change of older) expect(isBehind(CHECKPOINT, { ...CHECKPOINT, ...change })).toBe(true);
    const newer: readonly Partial<Checkpoint>[] = [
      {},
      { offset: 101 },
      { revocationEpoch: 8 },
      { generation: 6, incarnation: new Uint8Array(16).fill(6) },
      { era: 2, generation: 1, revocationEpoch: 0, offset: 0 },
    ];
    for (const change of newer) expect(isBehind(CHECKPOINT, { ...CHECKPOINT, ...change })).toBe(false);
  });

  it("never is the one that was seen itself, nor one that a state went on to from there", () => {
    fc.assert(
      fc.property(moments, moments, (a, more) => {
        const seen = at(a);
        expect(isBehind(seen, seen)).toBe(false);
        const later = at({
          era: a.era,
          generation: a.generation + more.generation,
          revocationEpoch: a.revocationEpoch + more.revocationEpoch,
          offset: a.offset + more.offset,
        });
        expect(isBehind(seen, later)).toBe(false);
        // And from there back again there is something to miss.
        expect(isBehind(later, seen)).toBe(true);
      }),
    );
  });
});

describe("a node whose gateway shows an older state", () => {
  it("does not go online, and says what it has seen and what it was shown", () => {
    const { state } = openNodeSession(hello, 0);
    const shown = { ...CHECKPOINT, revocationEpoch: 6 };
    const step = stepNodeSession(state, { kind: "message", message: { ...welcome, checkpoint: shown }, now: 1 });
    const stop = { kind: "behind", seen: CHECKPOINT, shown };
    expect(step).toEqual({ state: { kind: "stopped", stop }, effects: [{ kind: "stop", stop }] });
  });

  it("goes online where it was shown nothing to compare, or has seen nothing yet", () => {
    const { seen: _, ...first } = hello;
    const shown = { ...welcome, checkpoint: { ...CHECKPOINT, era: 0 } };
    for (const [said, answer] of [[hello, welcome] as const, [first as Hello, shown] as const]) {
      const step = stepNodeSession(openNodeSession(said, 0).state, { kind: "message", message: answer, now: 1 });
      expect(step.state.kind).toBe("online");
    }
  });

  it("goes online where what it has seen was given below a root that another has followed", () => {
    const shown = { ...welcome, checkpoint: { ...CHECKPOINT, era: 0 } };
    const { state } = openNodeSession(hello, 0, { judgesSeen: false });
    expect(stepNodeSession(state, { kind: "message", message: shown, now: 1 }).state.kind).toBe("online");
  });

  it("keeps what it is told while it is online", () => {
    const online = stepNodeSession(openNodeSession(hello, 0).state, { kind: "message", message: welcome, now: 1 });
    const told = { ...CHECKPOINT, offset: 200 };
    const message = { type: "checkpoint", checkpoint: told } as const;
    const step = stepNodeSession(online.state, { kind: "message", message, now: 2 });
    expect(step.effects).toEqual([{ kind: "checkpoint", checkpoint: told }]);
  });
});

describe("a gateway that is behind", () => {
  it("closes whatever session there is with 0x56, and its node waits for a minute", () => {
    const opening = openGatewaySession(DEVICE, 0).state;
    const registering = stepGatewaySession(opening, { kind: "hello", hello, now: 1 }).state;
    const { type: _, ...facts } = welcome;
    const open = stepGatewaySession(registering, { kind: "registered", welcome: facts, now: 2 }).state;
    for (const state of [opening, registering, open]) {
      const { effects } = stepGatewaySession(state, { kind: "behind", now: 3 });
      expect(effects[0]).toEqual({ kind: "close", code: 0x56, reason: "behind" });
    }
    const close = { kind: "application", code: CLOSE_CODES.behind, reason: "behind", byPeer: true } as const;
    expect(dialVerdict(close)).toBe("behind");
    expect(planRedial("behind", 1, 0.5)).toEqual({ kind: "retry", afterMs: 60_250 });
  });

  it("tells open sessions alone how far it has come", () => {
    const opening = openGatewaySession(DEVICE, 0).state;
    expect(stepGatewaySession(opening, { kind: "checkpoint", checkpoint: CHECKPOINT }).effects).toEqual([]);
  });
});

it("what was kept on a disk is a checkpoint, or it is refused", () => {
  expect(parseCheckpoint(CHECKPOINT)).toBe(CHECKPOINT);
  for (const bad of [{ era: -1 }, { mac: new Uint8Array(31) }, { revoked: ["x"] }, { incarnation: "a".repeat(16) }]) {
    expect(() => parseCheckpoint({ ...CHECKPOINT, ...bad })).toThrow(/checkpoint/u);
  }
});
