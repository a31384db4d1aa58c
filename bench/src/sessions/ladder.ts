/** More and more idle sessions on one server, measured on every rung. */
import { setTimeout as delay } from "node:timers/promises";
import type { MemoryBytes } from "../transport/memory.ts";
import type { Crew } from "./crew.ts";

/** Sessions on a way to `most`: N/100, N/10, N/2 and N. The growth rows compare the last with the second, latency with the first. */
export function rungsOf(most: number): readonly [number, number, number, number] {
  const part = (divisor: number) => Math.max(1, Math.round(most / divisor));
  return [part(100), part(10), part(2), most];
}

/** How `sessions` are spread over client processes. */
export function sharesOf(sessions: number, clients: number): readonly number[] {
  const least = Math.floor(sessions / clients);
  const rest = sessions % clients;
  return Array.from({ length: clients }, (_, index) => least + (index < rest ? 1 : 0));
}

/** What was found with so many sessions open. */
export interface Rung {
  readonly sessions: number;
  /** Bytes of the server for each session, beyond those of the server without any. */
  readonly rssPerSession: number;
  readonly heapPerSession: number;
  /** Share of one core that the server took while nothing but keep-alive went on. */
  readonly idleCpu: number;
  /** Opening the sessions that this rung has more than the one before. */
  readonly perSecond: number;
  /** CPU time of the server for each of those, in seconds. */
  readonly cpuPerSession: number;
  /** Requests one at a time, µs; absent where the system takes none. */
  readonly latency?: { readonly p50: number; readonly p99: number };
}

/** What a ladder stands on. */
export type Climbed = Pick<Crew, "hold" | "release" | "settle" | "collect" | "memory" | "cpuSeconds" | "touch">;

/** How a ladder is climbed. */
export interface ClimbOptions {
  readonly rungs: readonly number[];
  readonly clients: number;
  /** How long the server is watched doing nothing. */
  readonly idleMs: number;
  /** How long requests are sent on each rung; 0 for none. */
  readonly touchMs: number;
  /** What follows a handshake (confirmations, first timers) is over after this. */
  readonly settleMs: number;
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Sessions opened at once. */
const AT_ONCE = 32;
/** Sessions opened, used and closed first, so that the code is loaded and compiled when the empty server is measured. */
const WARM_UP_SESSIONS = 64;

/**
 * Measure the empty server, then each rung.
 * @throws {Error} when a session is not opened, or one is lost on the way
 */
export async function climb(crew: Climbed, options: ClimbOptions): Promise<readonly Rung[]> {
  const empty = await emptyServer(crew, options);
  const found: Rung[] = [];
  for (const sessions of options.rungs) found.push(await step(crew, { empty, from: found.at(-1), sessions }, options));
  return found;
}

async function emptyServer(crew: Climbed, { clients, touchMs, settleMs, signal }: ClimbOptions): Promise<MemoryBytes> {
  await crew.hold(sharesOf(0, clients), sharesOf(WARM_UP_SESSIONS, clients), AT_ONCE);
  if (touchMs > 0) await crew.touch(touchMs);
  await crew.release();
  await crew.settle(0);
  await delay(settleMs, undefined, { signal });
  return await crew.memory();
}

interface Step {
  /** The server without sessions. */
  readonly empty: MemoryBytes;
  /** The rung below; undefined for the first. */
  readonly from: Rung | undefined;
  readonly sessions: number;
}

async function step(crew: Climbed, { empty, from, sessions }: Step, options: ClimbOptions): Promise<Rung> {
  const { clients, settleMs, touchMs, idleMs, note, signal } = options;
  const before = from?.sessions ?? 0;
  const more = sessions - before;
  const cpuBefore = await crew.cpuSeconds();
  note(`opening ${String(more)} sessions more`);
  const seconds = await crew.hold(sharesOf(before, clients), sharesOf(sessions, clients), AT_ONCE);
  const cpu = (await crew.cpuSeconds()) - cpuBefore;
  await delay(settleMs, undefined, { signal });
  await crew.settle(sessions);
  await crew.collect();
  note(`${String(sessions)} sessions idle for ${String(idleMs / 1e3)} s`);
  const idleCpu = await idleShare(crew, options);
  // Only now: it takes the young generation away from V8, which then collects more often than it would.
  const memory = await crew.memory();
  const latency = touchMs > 0 ? await crew.touch(touchMs) : undefined;
  // None was lost meanwhile: what was measured is the cost of all.
  await crew.settle(sessions);
  return {
    sessions,
    rssPerSession: (memory.rss - empty.rss) / sessions,
    heapPerSession: (memory.heap + memory.external - empty.heap - empty.external) / sessions,
    idleCpu,
    perSecond: more / seconds,
    cpuPerSession: cpu / more,
    ...(latency !== undefined && { latency: { p50: latency.value, p99: latency.extra["µs p99"] ?? Number.NaN } }),
  };
}

async function idleShare(crew: Climbed, { idleMs, signal }: ClimbOptions): Promise<number> {
  const start = performance.now();
  const before = await crew.cpuSeconds();
  await delay(idleMs, undefined, { signal });
  const spent = (await crew.cpuSeconds()) - before;
  return spent / ((performance.now() - start) / 1e3);
}
