/** While a flood goes on, an enrolled node gets in and works. The flood is a process of its own, and so is the gateway. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFlood } from "./rig/flood.ts";
import { measure, quantile } from "./rig/measure.ts";
import { type Device, Rig } from "./rig/rig.ts";
import { SCENARIOS, setupOf } from "./rig/scenarios.ts";
import { dayOf } from "./rig/work.ts";

const SECONDS = Number(process.env["QUAYMESH_FLOOD_SECONDS"] ?? 1);
/**
 * From the first datagram to the first answer, redials included, and for a day's work. Held against the 95th percentile here: where others use the machine too, a datagram is lost now and
 * then that the flood has no part in, and a client waits a second before it begins again. docs/hostile-input.md has the 99th of a machine with nothing else to do.
 */
const GOAL_MS = 2000;
/** So many that the 95th percentile is not the maximum, nor close to it. */
const CONNECTIONS = 60;
/** The median of so many: one lost datagram costs a day a redial, which waits. */
const DAYS = 3;
/** Of each of the counters that show that the flood arrives. */
const MIN_HITS = 50;
/** For each connection; a node that is turned away every other time is kept out, however fast it dials. */
const MAX_REDIALS = 0.25;
const MAX_GROWN_BYTES = 256 << 20;

let rig: Rig;
let raw: Device;
let worker: Device;

beforeAll(async () => {
  rig = await Rig.open();
  raw = await rig.pair("raw");
  worker = await rig.pair("worker");
});

afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "an enrolled node gets in within 2 s and works: %s",
  { timeout: 60_000 },
  async (_name, scenario) => {
    const before = await rig.sample();
    await using flood = await startFlood(
      setupOf(scenario, { host: rig.host, port: rig.port, serverName: raw.dial.serverName }),
    );
    const missed = async (): Promise<string[]> => {
      const now = await rig.sample("look");
      const report = await flood.report();
      return [
        ...scenario.hits.filter((reason) => (now?.refused[reason] ?? 0) - (before?.refused[reason] ?? 0) < MIN_HITS),
        ...scenario.does.filter((deed) => report[deed] < MIN_HITS),
      ];
    };
    // Not before the flood is there, and reaches what it is meant to reach: one that misses its target would prove nothing.
    await expect.poll(missed, { timeout: 20_000, interval: 100 }).toEqual([]);
    const measured = await measure(rig, raw, SECONDS, CONNECTIONS);
    const days: number[] = [];
    for (let day = 0; day < DAYS; day += 1) days.push(await dayOf(rig, worker));
    const { bytesSent, bytesHeard } = await flood.report();
    expect(measured.inMs.length).toBeGreaterThanOrEqual(CONNECTIONS);
    expect(measured.p95Ms).toBeLessThan(GOAL_MS);
    expect(measured.refusals.length).toBeLessThanOrEqual(MAX_REDIALS * measured.inMs.length);
    expect(quantile(days, 0.5)).toBeLessThan(GOAL_MS);
    // RFC 9000 section 8.1 allows three times as much; what is answered before an address is proved is never more than what was asked.
    if (scenario.kind === "reflection" || scenario.kind === "half-open") expect(bytesHeard).toBeLessThan(bytesSent);
    expect(measured.after.faults).toEqual([]);
    expect(measured.after.rssBytes - measured.before.rssBytes).toBeLessThan(MAX_GROWN_BYTES);
  },
);
