import { expect, test } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { StoreHealth } from "../../src/store/sqlite/health.ts";
import type { Reply } from "../../src/store/sqlite/wire.ts";

const DONE: Reply = { id: 1, ok: true, value: undefined };
const FULL: Reply = { id: 1, ok: false, error: { code: "STORE_FULL", message: "full", metadata: {} } };

test("a store is full until what was refused finds room, whatever small is written meanwhile; it is said once", () => {
  let now = 0;
  const health = new StoreHealth(() => now);
  const said: string[] = [];
  const say = (_fields: object, message: string) => void said.push(message);
  const logger = { ...silentLogger, error: say, info: say };
  for (let second = 0; second < 5; second += 1) {
    now += 1000;
    health.note("events.append", FULL, logger);
    health.note("events.retain", DONE, logger);
    expect(health.full).toBe(true);
  }
  health.note("tasks.submit", FULL, logger);
  health.note("events.append", DONE, logger);
  expect(health.full).toBe(false);
  expect(said).toEqual(["the store is full: nothing is acknowledged until there is room", "the store has room again"]);
});

test("what was refused and is never tried again is forgotten", () => {
  let now = 0;
  const health = new StoreHealth(() => now);
  health.note("pairing.put-window", FULL, undefined);
  now += 59_000;
  expect(health.full).toBe(true);
  now += 2000;
  expect(health.full).toBe(false);
});
