/** A whole mesh is told, renews and connects anew one node after the other. The clock is turned by hand: nothing here depends on how fast the machine is. */
import type { Roots } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { LiveSession } from "../../src/sessions/live-session.ts";
import { endOldSessions } from "../../src/mesh/strangers.ts";
import { meshTurns, TURN_MS, Turns } from "../../src/mesh/turns.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { testGateway } from "../support/gateway.ts";

const NODES = 10_000;
const NO_STATEMENTS: Roots = { type: "roots", statements: [], settled: false };

function opened() {
  const clock = new FakeClock();
  const over = new AbortController();
  return { clock, over, turns: new Turns<object>({ clock, signal: over.signal }) };
}

describe("turns", () => {
  test("let ten thousand begin at the pace, in their order, and the first at once", () => {
    const { clock, turns } = opened();
    const began: [number, number][] = [];
    const start = clock.monotonicMs();
    for (let index = 0; index < NODES; index += 1) {
      turns.take({}, () => began.push([index, clock.monotonicMs() - start]) > 0);
    }
    expect(began).toEqual([[0, 0]]);
    clock.advance(NODES * TURN_MS);
    expect(began).toEqual(Array.from({ length: NODES }, (_, index) => [index, index * TURN_MS]));
  });

  test("are not spent on who has nothing to do any more, and who comes later does not wait", () => {
    const { clock, turns } = opened();
    const began: string[] = [];
    const take = (name: string, needed = true): void =>
      turns.take({}, () => {
        began.push(name);
        return needed;
      });
    take("first");
    take("gone", false);
    take("gone too", false);
    take("second");
    clock.advance(TURN_MS);
    expect(began).toEqual(["first", "gone", "gone too", "second"]);
    clock.advance(TURN_MS);
    take("much later");
    expect(began.at(-1)).toBe("much later");
  });

  test("are one for each, for what it was to do last, and none once all is over", () => {
    const { clock, over, turns } = opened();
    const who = {};
    const began: string[] = [];
    turns.take({}, () => began.push("first") > 0);
    turns.take(who, () => began.push("old") > 0);
    turns.take({}, () => began.push("third") > 0);
    turns.take(who, () => began.push("new") > 0);
    clock.advance(TURN_MS);
    expect(began).toEqual(["first", "new"]);
    over.abort();
    clock.advance(10 * TURN_MS);
    turns.take({}, () => began.push("too late") > 0);
    expect(began).toEqual(["first", "new"]);
  });
});

test("the sessions of nodes that trust two roots end one after the other, and of others none", () => {
  const clock = new FakeClock();
  const turns = meshTurns<LiveSession>({ clock, signal: new AbortController().signal });
  const ended: string[] = [];
  const session = (deviceId: string, roots: number): LiveSession => {
    const fake = {
      deviceId,
      knows: { roots: Array.from({ length: roots }, () => new Uint8Array(32)) },
      state: { kind: "open" },
      feed: ({ kind }: { kind: string }) => ended.push(`${deviceId} ${kind}`),
    };
    return fake as unknown as LiveSession;
  };
  const all = [session("a", 2), session("b", 1), session("c", 2), session("d", 2)];
  endOldSessions({ all: () => all }, { clock, turns });
  expect(ended).toEqual(["a stop"]);
  clock.advance(TURN_MS);
  expect(ended).toEqual(["a stop", "c stop"]);
  clock.advance(TURN_MS);
  expect(ended).toEqual(["a stop", "c stop", "d stop"]);
});

test("nodes that are online hear of a root in turns, and are asked for another certificate in turns and once", async () => {
  const clock = new FakeClock(Date.now());
  const news = { hasRoot: false };
  await using gateway = await testGateway({
    clock,
    news: {
      isForeignMove: () => false,
      newsFor: () => (news.hasRoot ? [NO_STATEMENTS] : []),
      rootVersionOf: () => 0,
      trustsNewest: () => news.hasRoot,
      isOutdated: () => news.hasRoot,
    },
  });
  const first = await gateway.connect(await gateway.enroll("first"));
  const second = await gateway.connect(await gateway.enroll("second"));
  news.hasRoot = true;
  gateway.core.tellNews();
  expect(await first.nextControl()).toEqual(NO_STATEMENTS);
  expect(await first.nextControl()).toEqual({ type: "renew" });
  // An answer shows that nothing was said before it.
  expect(await second.heartbeat(1)).toMatchObject({ type: "heartbeat.ack", seq: 1 });
  clock.advance(TURN_MS);
  expect(await second.nextControl()).toEqual(NO_STATEMENTS);
  expect(await second.nextControl()).toEqual({ type: "renew" });
  clock.advance(TURN_MS);
  gateway.core.tellNews();
  expect(await first.nextControl()).toEqual(NO_STATEMENTS);
  expect(await first.heartbeat(1)).toMatchObject({ type: "heartbeat.ack", seq: 1 });
});
