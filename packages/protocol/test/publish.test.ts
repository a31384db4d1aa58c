import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createPublisher,
  judgeBatch,
  openIngest,
  PUBLISHER_LIMITS,
  stepIngest,
  stepPublisher,
  type Publisher,
  type PublisherEffect,
  type PublisherInput,
} from "@quaymesh/protocol";
import { MOVES, PublishWorld } from "./publish-world.ts";

/** Feed inputs one after the other; gives the last state and the effects of the last input. */
function feed(
  start: Publisher,
  ...inputs: PublisherInput[]
): { state: Publisher; effects: readonly PublisherEffect[] } {
  let step: { state: Publisher; effects: readonly PublisherEffect[] } = { state: start, effects: [] };
  for (const input of inputs) step = stepPublisher(step.state, input);
  return step;
}

const ready = (ackedSeq: number, now = 0): PublisherInput => ({
  kind: "reply",
  reply: { type: "ready", ackedSeq },
  now,
});
const ack = (seq: number, now = 0): PublisherInput => ({ kind: "reply", reply: { type: "ack", seq }, now });
const sent = (first: number, last: number, now = 0): PublisherInput => ({ kind: "sent", first, last, now });
const recorded = (seq: number, now = 0): PublisherInput => ({ kind: "recorded", seq, now });
const tick = (now: number): PublisherInput => ({ kind: "tick", now });
const send = (first: number, last: number) => ({ kind: "send", range: { first, last } });

describe("publisher and ingest together", () => {
  it("whatever is lost, cut, refused or crashed, each recorded event is in the log once and in order, and none is dropped before", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...MOVES), fc.integer({ min: 1, max: 250 })), { maxLength: 200 }),
        (moves) => {
          const world = new PublishWorld();
          for (const [move, size] of moves) {
            world.move(move, size);
            expect(world.truncated).toBeLessThanOrEqual(world.log.length);
          }
          world.settle();
          expect(world.problems).toEqual([]);
          expect(world.log).toEqual(Array.from({ length: world.recorded }, (_, index) => index + 1));
          expect(world.truncated).toBe(world.recorded);
          expect(world.largestBatch).toBeLessThanOrEqual(PUBLISHER_LIMITS.batchEvents);
          expect(world.mostInFlight).toBeLessThanOrEqual(PUBLISHER_LIMITS.windowBatches);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("publisher", () => {
  it("sends a full batch at once", () => {
    const { effects } = feed(createPublisher({ acked: 0, recorded: 0 }), ready(0), recorded(100));
    expect(effects).toEqual([send(1, 100)]);
  });

  it("sends a part of a batch once its oldest event has waited a second", () => {
    const up = feed(createPublisher({ acked: 0, recorded: 0 }), ready(0), recorded(3, 5000));
    expect(up.effects).toEqual([{ kind: "schedule", at: 6000 }]);
    const more = feed(up.state, recorded(5, 5900));
    expect(more.effects).toEqual([{ kind: "schedule", at: 6000 }]);
    expect(feed(more.state, tick(5999)).effects).toEqual([{ kind: "schedule", at: 6000 }]);
    expect(feed(more.state, tick(6000)).effects).toEqual([send(1, 5)]);
  });

  it("sends at once what is flushed, and only that", () => {
    const up = feed(createPublisher({ acked: 0, recorded: 0 }), ready(0), recorded(3, 10));
    const flushed = feed(up.state, { kind: "flush", now: 20 });
    expect(flushed.effects).toEqual([send(1, 3)]);
    expect(feed(flushed.state, recorded(4, 30), sent(1, 3, 40)).effects).toEqual([{ kind: "schedule", at: 1040 }]);
  });

  it("what was recorded while there was no stream goes at once when there is one", () => {
    const offline = feed(createPublisher({ acked: 7, recorded: 7 }), recorded(9, 0));
    expect(offline.effects).toEqual([]);
    expect(feed(offline.state, ready(7, 10)).effects).toEqual([send(8, 9)]);
  });

  it("resumes after what the gateway has, and drops that", () => {
    expect(feed(createPublisher({ acked: 5, recorded: 20 }), ready(12)).effects).toEqual([
      { kind: "truncate", through: 12 },
      send(13, 20),
    ]);
  });

  it("a batch may be cut shorter, where its events fill a frame earlier", () => {
    const { effects } = feed(createPublisher({ acked: 0, recorded: 150 }), ready(0), sent(1, 8));
    expect(effects).toEqual([send(9, 108)]);
  });

  it("keeps a window of unacknowledged batches, and goes on with the next acknowledgement", () => {
    let step = feed(createPublisher({ acked: 0, recorded: 5000 }), ready(0));
    for (let batch = 0; batch < PUBLISHER_LIMITS.windowBatches; batch++) {
      expect(step.effects).toEqual([send(batch * 100 + 1, batch * 100 + 100)]);
      step = feed(step.state, sent(batch * 100 + 1, batch * 100 + 100));
    }
    expect(step.effects).toEqual([]);
    expect(feed(step.state, ack(100)).effects).toEqual([{ kind: "truncate", through: 100 }, send(1601, 1700)]);
  });

  it("goes back to what the gateway expects, once for all the batches behind a gap", () => {
    const up = feed(
      createPublisher({ acked: 0, recorded: 300 }),
      ready(0),
      sent(1, 100),
      sent(101, 200),
      sent(201, 300),
    );
    const expected: PublisherInput = { kind: "reply", reply: { type: "expected", seq: 101 }, now: 0 };
    const back = feed(up.state, expected);
    expect(back.effects).toEqual([send(101, 200)]);
    expect(feed(back.state, expected).effects).toEqual([]);
    // Written before the gateway's answer was read: it counts for nothing.
    const resent = feed(back.state, sent(101, 200), expected);
    expect(resent.effects).toEqual([]);
    expect(resent.state.link).toMatchObject({ sent: 200, sending: { first: 201, last: 300 } });
  });

  it("an acknowledgement that comes after a rewind still counts", () => {
    const up = feed(
      createPublisher({ acked: 0, recorded: 300 }),
      ready(0),
      sent(1, 100),
      sent(101, 200),
      sent(201, 300),
    );
    const paused = feed(up.state, { kind: "reply", reply: { type: "throttle", retryAfterMs: 500 }, now: 0 });
    expect(paused.effects).toEqual([{ kind: "schedule", at: 500 }]);
    const late = feed(paused.state, ack(200, 100));
    expect(late.effects).toEqual([
      { kind: "truncate", through: 200 },
      { kind: "schedule", at: 500 },
    ]);
    expect(feed(late.state, tick(500)).effects).toEqual([send(201, 300)]);
  });

  it("a batch that was being written again when its acknowledgement came does not take the publisher back", () => {
    const up = feed(
      createPublisher({ acked: 0, recorded: 400 }),
      ready(0),
      sent(1, 100),
      sent(101, 200),
      sent(201, 300),
    );
    const paused = feed(
      up.state,
      { kind: "reply", reply: { type: "throttle", retryAfterMs: 0 }, now: 0 },
      sent(301, 400),
    );
    expect(paused.effects).toEqual([send(1, 100)]);
    const late = feed(paused.state, ack(300), sent(1, 100));
    expect(late.effects).toEqual([send(301, 400)]);
  });

  it("says so when the gateway lacks what this outbox has dropped", () => {
    const restored = feed(createPublisher({ acked: 50, recorded: 60 }), ready(20));
    expect(restored.effects).toEqual([{ kind: "history-gone", expected: 21, earliest: 51 }]);
    expect(feed(restored.state, { kind: "lost" }, recorded(61), tick(10_000)).effects).toEqual([]);
    const up = feed(createPublisher({ acked: 50, recorded: 60 }), ready(50), sent(51, 60));
    expect(feed(up.state, { kind: "reply", reply: { type: "expected", seq: 40 }, now: 0 }).effects).toEqual([
      { kind: "history-gone", expected: 40, earliest: 51 },
    ]);
  });

  const conflict = (seq: number): PublisherInput => ({ kind: "reply", reply: { type: "conflict", seq }, now: 0 });

  it("goes on under a new epoch from the first event that the gateway holds another of, and drops none of its own", () => {
    const up = feed(createPublisher({ acked: 0, recorded: 10 }), ready(0), sent(1, 10));
    const parted = feed(up.state, conflict(4));
    expect(parted.effects).toEqual([
      { kind: "truncate", through: 3 },
      { kind: "diverged", seq: 4 },
    ]);
    expect(parted.state.acked).toBe(3);
    // The acknowledgement that follows speaks of the other copy's events.
    expect(feed(parted.state, conflict(5), ack(10), recorded(12), tick(10_000)).effects).toEqual([]);
  });

  it("an acknowledgement of what an earlier process sent is taken once the gateway has compared it, and nothing new goes before", () => {
    const up = feed(createPublisher({ acked: 5, recorded: 400, ours: 5 }), ready(230));
    expect(up.effects).toEqual([send(6, 105)]);
    const compared = feed(up.state, sent(6, 105), sent(106, 205));
    expect(compared.effects).toEqual([send(206, 230)]);
    const waiting = feed(compared.state, sent(206, 230), ack(105), ack(205));
    expect(waiting.effects).toEqual([{ kind: "truncate", through: 205 }]);
    expect(feed(waiting.state, ack(230)).effects).toEqual([{ kind: "truncate", through: 230 }, send(231, 330)]);
  });

  it("of an old copy that went on offline past what the gateway has, nothing is taken for acknowledged", () => {
    const up = feed(createPublisher({ acked: 10, recorded: 25, ours: 10 }), ready(20));
    expect(up.effects).toEqual([send(11, 20)]);
    expect(feed(up.state, sent(11, 20), conflict(11)).effects).toEqual([{ kind: "diverged", seq: 11 }]);
  });

  it("what this process has sent itself is not sent again to be compared", () => {
    const up = feed(createPublisher({ acked: 0, recorded: 300 }), ready(0), sent(1, 100), sent(101, 200), {
      kind: "lost",
    });
    expect(feed(up.state, ready(200)).effects).toEqual([{ kind: "truncate", through: 200 }, send(201, 300)]);
  });

  it.each<[string, PublisherInput[]]>([
    ["ready beyond the outbox", [ready(11)]],
    ["a second ready", [ready(0), ready(0)]],
    ["an acknowledgement before ready", [ack(1)]],
    ["an acknowledgement of what was not sent", [ready(0), sent(1, 10), ack(11)]],
    ["a conflict about what was not sent", [ready(0), { kind: "reply", reply: { type: "conflict", seq: 1 }, now: 0 }]],
    ["expecting what was not sent", [ready(0), { kind: "reply", reply: { type: "expected", seq: 2 }, now: 0 }]],
  ])("refuses %s", (_name, inputs) => {
    const { state, effects } = feed(createPublisher({ acked: 0, recorded: 10 }), ...inputs);
    expect(effects).toMatchObject([{ kind: "fail" }]);
    expect(state.link.kind).toBe("down");
    expect(state.acked).toBe(0);
  });
});

describe("ingest", () => {
  it("tells new from known for every overlap", () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.integer({ min: 1, max: 1100 }),
        fc.integer({ min: 1, max: 256 }),
        (watermark, first, count) => {
          const known = (seq: number) => seq <= watermark;
          const seqs = Array.from({ length: count }, (_, index) => first + index);
          const judgement = judgeBatch(watermark, first, count);
          if (first > watermark + 1) {
            expect(judgement).toEqual({ kind: "gap", expected: watermark + 1 });
            return;
          }
          expect(judgement).toEqual({
            kind: "take",
            duplicates: seqs.filter(known).length,
            fresh: seqs.filter((seq) => !known(seq)).length,
            watermark: Math.max(watermark, ...seqs),
          });
        },
      ),
    );
  });

  it("refuses sequences that are none", () => {
    for (const first of [0, Number.MAX_SAFE_INTEGER]) {
      expect(() => judgeBatch(0, first, 1)).toThrow(expect.objectContaining({ code: "MESSAGE_INVALID" }));
    }
  });

  it("acknowledges only what is committed", () => {
    const open = openIngest(10);
    expect(open.effects).toEqual([{ kind: "reply", reply: { type: "ready", ackedSeq: 10 } }]);
    const batch = stepIngest(open.state, { kind: "batch", first: 9, count: 5 });
    expect(batch.effects).toEqual([
      { kind: "compare", first: 9, count: 2 },
      { kind: "append", index: 2, first: 11, count: 3 },
    ]);
    const committed = stepIngest(batch.state, { kind: "committed", through: 13 });
    expect(committed.effects).toEqual([{ kind: "reply", reply: { type: "ack", seq: 13 } }]);
    expect(stepIngest(committed.state, { kind: "committed", through: 13 }).effects).toEqual([]);
  });

  it("answers a whole repeated batch with how far it is, and names conflicts", () => {
    const { state } = openIngest(10);
    expect(stepIngest(state, { kind: "compared", through: 8, conflicts: [3, 5] }).effects).toEqual([
      { kind: "reply", reply: { type: "conflict", seq: 3 } },
      { kind: "reply", reply: { type: "conflict", seq: 5 } },
      { kind: "reply", reply: { type: "ack", seq: 8 } },
    ]);
  });

  it("a refused commit takes back what had been received", () => {
    const batch = stepIngest(openIngest(10).state, { kind: "batch", first: 11, count: 5 });
    const refused = stepIngest(batch.state, { kind: "refused", retryAfterMs: 1000 });
    expect(refused.effects).toEqual([{ kind: "reply", reply: { type: "throttle", retryAfterMs: 1000 } }]);
    expect(stepIngest(refused.state, { kind: "batch", first: 16, count: 5 }).effects).toEqual([
      { kind: "reply", reply: { type: "expected", seq: 11 } },
    ]);
    expect(stepIngest(refused.state, { kind: "batch", first: 11, count: 5 }).effects).toMatchObject([
      { kind: "append" },
    ]);
  });
});
