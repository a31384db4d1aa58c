/** A pairing process that fails again and again, or takes what it may not: the gateway goes on, says so, and does not spin. */
import { expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { openRoom } from "./room.ts";

const RESTART_MS = 7;

function warnings() {
  const said: unknown[] = [];
  const logger = { debug() {}, info() {}, error() {}, warn: (_: unknown, message: string) => void said.push(message) };
  return { said, logger };
}

test("a process that takes more memory than it may is replaced, and the gateway says that it ended", async () => {
  const childModule = new URL("greedy-child.ts", import.meta.url);
  const { said, logger } = warnings();
  await using room = await openRoom({ childModule, logger, endpoint: { restartMs: 10, heapMib: 48 } });
  await room.open();
  const { pid } = room.endpoint;
  await expect.poll(() => room.endpoint.pid ?? pid).not.toBe(pid);
  expect(said).toContain("the pairing endpoint's process ended; starting another");
  // The window is what it was: only its process was another one's.
  expect(room.desk.isOpen).toBe(true);
}, 120_000);

test("one that ends as soon as it has begun is started anew after longer and longer pauses", async () => {
  const childModule = new URL("crashing-child.ts", import.meta.url);
  const pauses: number[] = [];
  const clock: Clock = {
    ...systemClock,
    after: (delayMs, run) => {
      if (delayMs < 1000 && delayMs % RESTART_MS === 0) pauses.push(delayMs / RESTART_MS);
      return systemClock.after(delayMs, run);
    },
  };
  await using room = await openRoom({ childModule, clock, endpoint: { restartMs: RESTART_MS } });
  await room.open();
  await expect.poll(() => pauses.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
  expect(pauses.slice(0, 4)).toEqual([2, 4, 8, 16]);
}, 120_000);
