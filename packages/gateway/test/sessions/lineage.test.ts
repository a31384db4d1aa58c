/** How nodes hear of how far the store has come. The clock is turned by hand. */
import type { Checkpoint } from "@quaymesh/protocol";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { meshTurns } from "../../src/mesh/turns.ts";
import { Lineage } from "../../src/sessions/lineage.ts";
import type { LiveSession } from "../../src/sessions/live-session.ts";
import type { Store } from "../../src/store/port.ts";
import { FakeClock } from "../support/fake-clock.ts";

const SESSIONS = 1000;
/** From one node to the next. */
const TURN_MS = 10;
/** Above the delay after a revocation, and below that of a log that only grows. */
const SOON_ENOUGH_MS = 250;

async function opened() {
  const clock = new FakeClock();
  const over = new AbortController();
  /** Who was told, and of which revocation epoch. */
  const told: [number, number][] = [];
  let revocationEpoch = 0;
  const sessions = Array.from({ length: SESSIONS }, (_, index) => {
    const feed = ({ checkpoint }: { checkpoint: Checkpoint }) => told.push([index, checkpoint.revocationEpoch]);
    return { open: {}, feed } as unknown as LiveSession;
  });
  const checkpoint = () => Promise.resolve({ offset: 0, revocationEpoch });
  const lineage = await Lineage.open({
    store: { lineage: { checkpoint, behind: () => Promise.resolve(undefined) } } as unknown as Store,
    registry: { all: () => sessions },
    turns: meshTurns({ clock, signal: over.signal }),
    clock,
    logger: silentLogger,
  });
  const revoked = () => {
    revocationEpoch += 1;
    lineage.revoked();
  };
  /** Let time pass, and let the store answer. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return { told, revoked, pass };
}

test("a thousand nodes hear of a revocation one after the other, and whoever has not heard yet hears of the newest", async () => {
  const { told, revoked, pass } = await opened();
  revoked();
  await pass(SOON_ENOUGH_MS);
  expect(told.length).toBeLessThan(3);
  await pass((SESSIONS / 2) * TURN_MS);
  expect(told.length).toBeGreaterThan(SESSIONS / 3);
  expect(told.length).toBeLessThan(SESSIONS * 0.6);
  revoked();
  await pass(SOON_ENOUGH_MS);
  await pass(2 * SESSIONS * TURN_MS);
  const last = Array.from({ length: SESSIONS }, (_, index) => told.findLast(([who]) => who === index)?.[1]);
  expect(last).toEqual(Array.from({ length: SESSIONS }, () => 2));
});

test("revocations that come one after the other do not keep nodes from hearing of them", async () => {
  const { told, revoked, pass } = await opened();
  for (let time = 0; time < 10; time += 1) {
    revoked();
    await pass(SOON_ENOUGH_MS / 5);
  }
  expect(told.length).toBeGreaterThan(0);
});
