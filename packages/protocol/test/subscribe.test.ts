import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createSubscriber,
  MAX_BATCH_EVENTS,
  openSubscription,
  SLOW_CONSUMER_MS,
  stepSubscriber,
  stepSubscription,
  SUBSCRIBER_WINDOW,
  type SubscribeRequest,
  type Subscriber,
  type SubscriberInput,
  type Subscription,
  type SubscriptionInput,
} from "@quaymesh/protocol";
import { loggedEvent, READER_MOVES, SubscribeWorld } from "./subscribe-world.ts";

const request = (fields: Partial<SubscribeRequest> = {}): SubscribeRequest => ({
  v: 1,
  method: "events.subscribe",
  after: 0,
  creditEvents: 1000,
  creditBytes: 1_000_000,
  ...fields,
});
const extent = (earliest: number, latest: number) => ({ log: "log-1", earliest, latest });

function feed(start: Subscription, ...inputs: SubscriptionInput[]) {
  let step: ReturnType<typeof stepSubscription> = { state: start, effects: [] };
  for (const input of inputs) step = stepSubscription(step.state, input);
  return step;
}

function read(start: Subscriber, ...inputs: SubscriberInput[]) {
  let step: ReturnType<typeof stepSubscriber> = { state: start, effects: [] };
  for (const input of inputs) step = stepSubscriber(step.state, input);
  return step;
}

const message = (message: Extract<SubscriberInput, { kind: "message" }>["message"]): SubscriberInput => ({
  kind: "message",
  message,
});
const subscribed = message({ type: "subscribed", log: "log-1", earliest: 1, latest: 100 });
const events = (...offsets: number[]) =>
  message({ type: "events", events: offsets.map((offset) => loggedEvent(offset, 10)) });

describe("subscription and subscriber together", () => {
  it("whatever is cut and whenever, the reader gets each event it wants once and in order, within its window", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...READER_MOVES), fc.integer({ min: 1, max: 40 })), { maxLength: 200 }),
        fc.record({ events: fc.integer({ min: 1, max: 60 }), bytes: fc.integer({ min: 1, max: 4000 }) }),
        (moves, window) => {
          const world = new SubscribeWorld(window);
          for (const [move, size] of moves) world.move(move, size);
          world.settle();
          expect(world.problems).toEqual([]);
          expect(world.refused).toBeUndefined();
          expect(world.caughtUpAt).toBe(world.log.length);
          expect(world.delivered).toEqual(world.log.filter(({ kind }) => kind === "news").map(({ offset }) => offset));
          expect(world.mostUnconsumed).toBeLessThanOrEqual(window.events);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("subscription", () => {
  it("replays from the cursor, then follows, by one path", () => {
    const open = openSubscription(request({ after: 3 }), extent(1, 10), 0);
    expect(open.effects).toEqual([
      { kind: "send", message: { type: "subscribed", ...extent(1, 10) } },
      { kind: "read", after: 3, through: 10, maxEvents: MAX_BATCH_EVENTS, maxBytes: 262_144 },
    ]);
    const done = feed(open.state, { kind: "sent", events: 7, bytes: 70, through: 10, now: 1 });
    expect(done.effects).toEqual([{ kind: "caught-up", offset: 10 }]);
    expect(feed(done.state, { kind: "tick", now: 2 }).effects).toEqual([]);
    expect(feed(done.state, { kind: "appended", latest: 12, now: 3 }).effects).toMatchObject([
      { kind: "read", after: 10, through: 12 },
    ]);
  });

  it("what grows while a read is under way is read next", () => {
    const open = openSubscription(request(), extent(1, 1), 0);
    const grown = feed(open.state, { kind: "appended", latest: 5, now: 1 });
    expect(grown.effects).toEqual([]);
    expect(feed(grown.state, { kind: "sent", events: 1, bytes: 1, through: 1, now: 2 }).effects).toMatchObject([
      { kind: "read", after: 1, through: 5 },
    ]);
  });

  it("reads no further than the credit", () => {
    const open = openSubscription(request({ creditEvents: 5, creditBytes: 100 }), extent(1, 50), 0);
    expect(open.effects[1]).toMatchObject({ maxEvents: 5, maxBytes: 100 });
    const out = feed(open.state, { kind: "sent", events: 5, bytes: 90, through: 5, now: 10 });
    expect(out.effects).toEqual([{ kind: "schedule", at: 10 + SLOW_CONSUMER_MS }]);
    expect(feed(out.state, { kind: "credit", events: 1, bytes: 0, now: 20 }).effects).toMatchObject([
      { kind: "read", after: 5, maxEvents: 1, maxBytes: 10 },
    ]);
  });

  it("closes a reader that gives no credit, and says where it was", () => {
    const open = openSubscription(request({ creditEvents: 1 }), extent(1, 50), 0);
    const out = feed(open.state, { kind: "sent", events: 1, bytes: 1, through: 1, now: 100 });
    expect(feed(out.state, { kind: "tick", now: 99 + SLOW_CONSUMER_MS }).state.kind).toBe("open");
    const closed = feed(out.state, { kind: "tick", now: 100 + SLOW_CONSUMER_MS });
    expect(closed.effects).toMatchObject([{ kind: "fail", error: { code: "SLOW_CONSUMER", details: { cursor: 1 } } }]);
    expect(feed(closed.state, { kind: "appended", latest: 99, now: 0 })).toEqual({
      state: { kind: "closed" },
      effects: [],
    });
  });

  it("credit of nothing does not keep a slow reader alive", () => {
    const open = openSubscription(request({ creditEvents: 0 }), extent(1, 50), 0);
    const begged = feed(open.state, { kind: "credit", events: 0, bytes: 9, now: SLOW_CONSUMER_MS - 1 });
    expect(begged.effects).toEqual([{ kind: "schedule", at: SLOW_CONSUMER_MS }]);
    expect(feed(begged.state, { kind: "tick", now: SLOW_CONSUMER_MS }).state.kind).toBe("closed");
  });

  it("a reader with nothing to read may stay without credit for ever", () => {
    const open = openSubscription(request({ creditEvents: 0 }), extent(1, 0), 0);
    expect(open.effects).toMatchObject([{ kind: "send" }, { kind: "caught-up", offset: 0 }]);
    expect(feed(open.state, { kind: "tick", now: SLOW_CONSUMER_MS * 10 }).state.kind).toBe("open");
  });

  it.each<[string, Partial<SubscribeRequest>, object]>([
    ["LOG_CHANGED", { after: 3, log: "log-0" }, { log: "log-1" }],
    ["RESUME_FUTURE", { after: 101 }, { latest: 100 }],
    ["RESUME_COMPACTED", { after: 9 }, { earliest: 11 }],
  ])("refuses a cursor it cannot honour: %s", (code, fields, details) => {
    const { state, effects } = openSubscription(request(fields), extent(11, 100), 0);
    expect(effects).toMatchObject([{ kind: "fail", error: { code, details } }]);
    expect(state.kind).toBe("closed");
  });

  it("a cursor right before the earliest event has missed nothing, and one at 0 claims nothing", () => {
    expect(openSubscription(request({ after: 10 }), extent(11, 100), 0).effects[1]).toMatchObject({ after: 10 });
    expect(openSubscription(request({ after: 0 }), extent(11, 100), 0).effects[1]).toMatchObject({ after: 10 });
    expect(openSubscription(request({ after: 100 }), extent(101, 100), 0).effects[1]).toEqual({
      kind: "caught-up",
      offset: 100,
    });
  });

  it("says so when retention overtakes a reader", () => {
    const open = openSubscription(request({ creditEvents: 0 }), extent(1, 50), 0);
    expect(feed(open.state, { kind: "compacted", earliest: 1 }).state.kind).toBe("open");
    expect(feed(open.state, { kind: "compacted", earliest: 2 }).effects).toMatchObject([
      { kind: "fail", error: { code: "RESUME_COMPACTED", details: { earliest: 2 } } },
    ]);
  });
});

describe("subscriber", () => {
  const window = { windowEvents: 10, windowBytes: 1000 };

  it("asks from its cursor, and from the log it belongs to", () => {
    const fresh = read(createSubscriber({ after: 0, ...window }), { kind: "connected" });
    expect(fresh.effects).toEqual([
      { kind: "send", message: { v: 1, method: "events.subscribe", after: 0, creditEvents: 10, creditBytes: 1000 } },
    ]);
    const again = read(fresh.state, subscribed, events(4, 7), { kind: "lost" }, { kind: "connected" });
    expect(again.effects).toEqual([
      {
        kind: "send",
        message: { v: 1, method: "events.subscribe", after: 7, log: "log-1", creditEvents: 8, creditBytes: 980 },
      },
    ]);
  });

  it("moves its cursor over what the filter left out", () => {
    const caughtUp = message({ type: "caught-up", offset: 90 });
    const { state } = read(
      createSubscriber({ after: 0, ...window }),
      { kind: "connected" },
      subscribed,
      events(2),
      caughtUp,
    );
    expect(state.cursor).toBe(90);
  });

  it("gives credit by the half window", () => {
    const up = read(
      createSubscriber({ after: 0, ...window }),
      { kind: "connected" },
      subscribed,
      events(1, 2, 3, 4, 5, 6),
    );
    const some = read(up.state, { kind: "consumed", events: 4, bytes: 40 });
    expect(some.effects).toEqual([]);
    expect(read(some.state, { kind: "consumed", events: 1, bytes: 10 }).effects).toEqual([
      { kind: "send", message: { type: "credit", events: 5, bytes: 50 } },
    ]);
  });

  it("consuming everything always leaves credit for more", () => {
    expect(SUBSCRIBER_WINDOW.windowEvents).toBeGreaterThan(MAX_BATCH_EVENTS);
    const big = message({ type: "events", events: [loggedEvent(1, 5000)] });
    const up = read(createSubscriber({ after: 0, ...window }), { kind: "connected" }, subscribed, big);
    expect(up.state.creditBytes).toBe(-4000);
    expect(read(up.state, { kind: "consumed", events: 1, bytes: 5000 }).state).toMatchObject({
      creditEvents: 10,
      creditBytes: 1000,
    });
  });

  it.each<[string, SubscriberInput[]]>([
    ["offsets that do not grow", [subscribed, events(5), events(5)]],
    ["offsets that go back within a frame", [subscribed, events(5, 4)]],
    [
      "an event it has seen before the cut",
      [subscribed, events(5), { kind: "lost" }, { kind: "connected" }, subscribed, events(5)],
    ],
    ["events before subscribed", [events(1)]],
    ["a second subscribed", [subscribed, subscribed]],
    [
      "another log",
      [
        subscribed,
        { kind: "lost" },
        { kind: "connected" },
        message({ type: "subscribed", log: "log-2", earliest: 1, latest: 1 }),
      ],
    ],
    ["more events than credit", [subscribed, events(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)]],
    ["caught up behind what was sent", [subscribed, events(5), message({ type: "caught-up", offset: 4 })]],
  ])("refuses %s", (_name, inputs) => {
    const { state, effects } = read(createSubscriber({ after: 0, ...window }), { kind: "connected" }, ...inputs);
    expect(effects).toMatchObject([{ kind: "fail" }]);
    expect(state.link.kind).toBe("down");
  });
});

describe("a durable subscriber", () => {
  const durable = createSubscriber({ ...SUBSCRIBER_WINDOW, after: 0, durable: { name: "export" } });
  const subscribedFrom = (from: number) =>
    message({
      type: "subscribed",
      log: "log-1",
      earliest: 1,
      latest: 100,
      from,
      features: ["durable"],
      durable: { epoch: 1, acked: 0, created: true },
    });
  const opened = subscribedFrom(0);
  const caughtUp = (offset: number) => message({ type: "caught-up", offset });
  const acks = ({ effects }: ReturnType<typeof read>) =>
    effects.flatMap((effect) =>
      effect.kind === "send" && "type" in effect.message && effect.message.type === "ack"
        ? [effect.message.offset]
        : [],
    );

  it("acknowledges what the filter hides where nothing waits to be done with", () => {
    expect(acks(read(durable, { kind: "connected" }, opened, caughtUp(50)))).toEqual([50]);
  });

  it("acknowledges nothing of what lies behind an event that was delivered and is not done with", () => {
    const given = read(durable, { kind: "connected" }, opened, events(5, 7), caughtUp(50));
    expect(acks(given)).toEqual([]);
    expect(acks(read(given.state, { kind: "acknowledge", offset: 5 }))).toEqual([5]);
    expect(acks(read(given.state, { kind: "acknowledge", offset: 5 }, caughtUp(60)))).toEqual([]);
    // With the last one goes what is hidden behind it, and from then on what comes.
    expect(acks(read(given.state, { kind: "acknowledge", offset: 7 }))).toEqual([50]);
    expect(acks(read(given.state, { kind: "acknowledge", offset: 7 }, caughtUp(60)))).toEqual([60]);
  });

  it("says so on the next stream where this one is gone", () => {
    const given = read(durable, { kind: "connected" }, opened, events(5), caughtUp(50), { kind: "lost" });
    const done = read(given.state, { kind: "acknowledge", offset: 5 }, { kind: "connected" });
    expect(acks(read(done.state, subscribedFrom(50)))).toEqual([50]);
  });

  it("is what it takes: a reader that keeps its own cursor acknowledges nothing", () => {
    const plain = createSubscriber({ ...SUBSCRIBER_WINDOW, after: 0 });
    expect(acks(read(plain, { kind: "connected" }, subscribed, caughtUp(50)))).toEqual([]);
  });
});
