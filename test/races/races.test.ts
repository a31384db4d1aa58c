import { expect, test } from "vitest";
import { runRaces } from "./command.ts";
import { RACE_CONTROLS, type RaceControl } from "./controls.ts";
import { PHASES } from "./race.ts";

test(
  "nothing of a device is accepted after its receipt, wherever it was when it was revoked",
  { timeout: 240_000 },
  async () => {
    const { races, phases, stored, faults } = await runRaces({ races: 1500, from: 1 });
    expect(faults).toEqual([]);
    expect(races).toBe(1500);
    expect(stored).toBeGreaterThan(0);
    // The races are about something: devices are met everywhere.
    for (const phase of PHASES) if (phase !== "over") expect(phases[phase], phase).toBeGreaterThan(20);
  },
);

test("a seed is the same races every time", { timeout: 120_000 }, async () => {
  const once = await runRaces({ races: 100, from: 7 });
  expect(await runRaces({ races: 100, from: 7 })).toEqual(once);
  expect(await runRaces({ races: 100, from: 8 })).not.toEqual(once);
});

test.each(Object.entries<RaceControl>(RACE_CONTROLS))(
  "%s is noticed",
  { timeout: 240_000 },
  async (_name, { broken, fault }) => {
    const { faults } = await runRaces({ races: 1000, from: 1, broken });
    expect(faults[0]).toMatch(fault);
  },
);
