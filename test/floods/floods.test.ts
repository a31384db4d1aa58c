/** While a flood goes on, an enrolled node gets in and works. The flood is a process of its own, and so is the gateway. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFlood } from "./rig/flood.ts";
import { measure } from "./rig/measure.ts";
import { type Device, Rig } from "./rig/rig.ts";
import { SCENARIOS, setupOf } from "./rig/scenarios.ts";
import { dayOf } from "./rig/work.ts";

const SECONDS = Number(process.env["QUAYMESH_FLOOD_SECONDS"] ?? 1.5);
/** From the first datagram to the first answer, redials included. */
const GOAL_MS = 2000;
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
  async (_name, scenario) => {
    await using flood = await startFlood(
      setupOf(scenario, { host: rig.host, port: rig.port, serverName: raw.dial.serverName }),
    );
    // Not before the flood is there.
    await expect.poll(async () => (await flood.report()).attempts, { timeout: 15_000 }).toBeGreaterThan(100);
    const measured = await measure(rig, raw, SECONDS);
    const dayMs = await dayOf(rig, worker);
    const { bytesSent, bytesHeard, attempts } = await flood.report();
    expect(attempts).toBeGreaterThan(100);
    expect(measured.p99Ms).toBeLessThan(GOAL_MS);
    expect(dayMs).toBeLessThan(5 * GOAL_MS);
    // RFC 9000 section 8.1 allows three times as much; what is answered before an address is proved is never more than what was asked.
    if (scenario.kind === "reflection" || scenario.kind === "half-open") expect(bytesHeard).toBeLessThan(bytesSent);
    expect(measured.after.faults).toEqual([]);
    expect(measured.after.rssBytes - measured.before.rssBytes).toBeLessThan(MAX_GROWN_BYTES);
  },
);
