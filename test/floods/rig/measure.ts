/** What an enrolled node goes through while a flood goes on. */
import { setTimeout as pause } from "node:timers/promises";
import type { Sample } from "./gateway-child.ts";
import type { Device, Rig } from "./rig.ts";
import { openSession } from "./session.ts";

/** What was measured. Times in milliseconds. */
export interface Measured {
  /** Connect, hello, welcome, one question and its answer, and the redials before, if there were any: one entry for each time. */
  readonly inMs: readonly number[];
  /** What it was told where it had to dial again. */
  readonly refusals: readonly string[];
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Share of a core that the gateway used. */
  readonly cpuShare: number;
  readonly before: Sample;
  readonly after: Sample;
}

/** At least so many connections are measured: below 101 the 99th percentile would be the maximum, which the machine decides. */
const CONNECTIONS = 120;
/** Between two connections, and before a redial: the node is not the flood. */
const PAUSE_MS = 10;
/** Whoever is not in by then never is. */
const GIVE_UP_MS = 20_000;

/**
 * Connect and work, again and again, for this long, and {@link CONNECTIONS} times at least unless told otherwise.
 * @throws what the node was told last, where it does not get in at all
 */
export async function measure(rig: Rig, device: Device, seconds: number, connections = CONNECTIONS): Promise<Measured> {
  const before = await must(rig);
  const startedAt = performance.now();
  const inMs: number[] = [];
  const refusals: string[] = [];
  while (performance.now() - startedAt < seconds * 1000 || inMs.length < connections) {
    const from = performance.now();
    while (!(await getIn(rig, device, from, refusals))) await pause(PAUSE_MS);
    inMs.push(performance.now() - from);
    await pause(PAUSE_MS);
  }
  const elapsedMs = performance.now() - startedAt;
  const after = await must(rig);
  return {
    inMs,
    refusals,
    p50Ms: quantile(inMs, 0.5),
    p95Ms: quantile(inMs, 0.95),
    p99Ms: quantile(inMs, 0.99),
    cpuShare: (after.cpuMs - before.cpuMs) / elapsedMs,
    before,
    after,
  };
}

async function getIn(rig: Rig, device: Device, from: number, refusals: string[]): Promise<boolean> {
  try {
    await using session = await openSession(rig.transport, rig, device);
    await session.health();
    return true;
  } catch (error) {
    if (performance.now() - from > GIVE_UP_MS) throw error;
    refusals.push(error instanceof Error ? error.message : String(error));
    return false;
  }
}

async function must(rig: Rig): Promise<Sample> {
  const sample = await rig.sample();
  if (sample === undefined) throw new Error("the gateway ended");
  return sample;
}

/** The value that this share of `values` does not exceed; `NaN` where there is none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}
