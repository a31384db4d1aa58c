/** The measured loops. They know a system only through its port, so all systems do the same work. */
import { quantile } from "../stats.ts";
import { BULK_CHUNK, encodeEvent } from "./payload.ts";
import type { Work } from "./rows.ts";
import type { BenchClient, Dial, Sink } from "./systems/system.ts";

const CONCURRENT_REQUESTS = 64;
const CONCURRENT_HANDSHAKES = 32;
/** Events between two looks at the clock. */
const EVENTS_PER_LOOK = 64;

/** What one run of a loop found. */
export interface Measured {
  /** In the row's unit. */
  readonly value: number;
  /** Requests, events, megabytes or connections: what a cost can be divided by. */
  readonly operations: number;
  /** Further figures by name. */
  readonly extra: Readonly<Record<string, number>>;
}

/** One row on one system, ready to run: a run to warm up and a run to measure share its connection. */
export interface Cell extends AsyncDisposable {
  run(ms: number): Promise<Measured>;
}

/** Connect, where the row works on a connection. */
export async function openCell(work: Work, dial: Dial): Promise<Cell> {
  if (work === "handshakes") return { run: (ms) => handshakes(dial, ms), [Symbol.asyncDispose]: async () => {} };
  const client = await dial();
  const loop = ON_ONE_CONNECTION[work];
  return {
    run: (ms) => loop(client, ms),
    [Symbol.asyncDispose]: async () => await client[Symbol.asyncDispose](),
  };
}

const ON_ONE_CONNECTION: Readonly<
  Record<Exclude<Work, "handshakes">, (client: BenchClient, ms: number) => Promise<Measured>>
> = {
  "unary-1": latencies,
  "unary-64": (client, ms) => perSecond(CONCURRENT_REQUESTS, ms, () => client.unary()),
  events,
  bulk,
  "bulk-1350": bulk,
};

/** Requests one at a time; the value is the median of their times. */
async function latencies(client: BenchClient, ms: number): Promise<Measured> {
  const micros: number[] = [];
  const stop = performance.now() + ms;
  for (let start = performance.now(); start < stop;) {
    await client.unary();
    const end = performance.now();
    micros.push((end - start) * 1e3);
    start = end;
  }
  const extra = { "µs p99": quantile(micros, 0.99) };
  return { value: quantile(micros, 0.5), operations: micros.length, extra };
}

/** Connections; one counts when the server has answered its first request. Closing is part of the load, not of the time. */
async function handshakes(dial: Dial, ms: number): Promise<Measured> {
  const closing: PromiseLike<void>[] = [];
  const measured = await perSecond(CONCURRENT_HANDSHAKES, ms, async () => {
    const client = await dial();
    await client.unary();
    closing.push(client[Symbol.asyncDispose]());
  });
  await Promise.all(closing);
  return measured;
}

async function perSecond(workers: number, ms: number, once: () => Promise<void>): Promise<Measured> {
  let done = 0;
  const start = performance.now();
  const stop = start + ms;
  const worker = async () => {
    while (performance.now() < stop) {
      await once();
      done++;
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return { value: done / secondsSince(start), operations: done, extra: {} };
}

async function events(client: BenchClient, ms: number): Promise<Measured> {
  const sink = await client.openEvents();
  let seq = 0;
  return await stream(sink, 1, ms, async () => {
    for (const last = seq + EVENTS_PER_LOOK; seq < last; seq++) {
      const full = sink.write(encodeEvent(seq));
      if (full !== undefined) await full;
    }
    return EVENTS_PER_LOOK;
  });
}

async function bulk(client: BenchClient, ms: number): Promise<Measured> {
  const sink = await client.openBulk();
  return await stream(sink, 1e6, ms, async () => {
    const full = sink.write(BULK_CHUNK);
    if (full !== undefined) await full;
    return BULK_CHUNK.length;
  });
}

/** Write until the time is over, and until the server has said how much it got. */
async function stream(sink: Sink, perUnit: number, ms: number, write: () => Promise<number>): Promise<Measured> {
  let sent = 0;
  const start = performance.now();
  const stop = start + ms;
  while (performance.now() < stop) sent += await write();
  const counted = await sink.finish();
  const seconds = secondsSince(start);
  if (counted !== sent) throw new Error(`sent ${String(sent)}, but the server counted ${String(counted)}`);
  const operations = counted / perUnit;
  return { value: operations / seconds, operations, extra: {} };
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1e3;
}
