/** Floods at length, as a table: `node -C @quaymesh/source test/floods/main.ts [seconds]`. */
import { setTimeout as pause } from "node:timers/promises";
import { startFlood } from "./rig/flood.ts";
import { measure } from "./rig/measure.ts";
import { Rig } from "./rig/rig.ts";
import { SCENARIOS, setupOf } from "./rig/scenarios.ts";
import { dayOf } from "./rig/work.ts";

/** Handshakes that a flood left half open are gone by then. */
const SETTLE_MS = 4000;

const seconds = Number(process.argv[2] ?? 10);
await using rig = await Rig.open();
const raw = await rig.pair("raw");
const worker = await rig.pair("worker");
const to = { host: rig.host, port: rig.port, serverName: raw.dial.serverName };

const line = (...cells: readonly (string | number)[]): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`);
line(
  "flood",
  "attempts/s",
  "got in",
  "redials",
  "p50 ms",
  "p95 ms",
  "p99 ms",
  "a day's work ms",
  "core",
  "RSS MB",
  "bytes back",
  "longest turn ms",
);
line(..."------------".split("").map((dash) => dash.repeat(3)));
const quiet = await measure(rig, raw, seconds);
line("none", 0, quiet.inMs.length, quiet.refusals.length, ...figures(quiet));
for (const scenario of SCENARIOS) {
  {
    await using flood = await startFlood(setupOf(scenario, to));
    await pause(1000);
    const measured = await measure(rig, raw, seconds);
    const dayMs = await dayOf(rig, worker).catch(() => NaN);
    const report = await flood.report();
    const share = `${((100 * report.bytesHeard) / report.bytesSent).toFixed(0)} %`;
    line(
      scenario.name,
      scenario.perSecond,
      measured.inMs.length,
      measured.refusals.length,
      ...figures(measured, dayMs, share),
    );
  }
  await pause(SETTLE_MS);
}

function figures(
  { p50Ms, p95Ms, p99Ms, cpuShare, after }: Awaited<ReturnType<typeof measure>>,
  dayMs = NaN,
  share = "",
): (string | number)[] {
  const megabytes = Math.round(after.rssBytes / 1e6);
  return [
    p50Ms.toFixed(1),
    p95Ms.toFixed(0),
    p99Ms.toFixed(0),
    dayMs.toFixed(0),
    cpuShare.toFixed(2),
    megabytes,
    share,
    after.longestTurnMs.toFixed(0),
  ];
}
