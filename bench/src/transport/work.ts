/** The measured loops. They know a system only through its port, so all systems do the same work. */
import { quantile } from "../stats.ts";
import type { Budget, Sample } from "../suite.ts";
import { BULK_CHUNK, encodeEvent } from "./payload.ts";
import type { Work } from "./rows.ts";
import type { BenchClient, Dial, Sink } from "./systems/system.ts";

const CONCURRENT_REQUESTS = 64;
const CONCURRENT_HANDSHAKES = 32;
/** Events between two looks at the clock. */
const EVENTS_PER_LOOK = 64;

/** Warm up, then measure one cell. */
export async function measure(work: Work, dial: Dial, budget: Budget): Promise<Sample> {
  if (work === "handshakes") {
    await handshakes(dial, budget.warmupMs);
    return { value: await handshakes(dial, budget.measureMs) };
  }
  await using client = await dial();
  const once = ON_ONE_CONNECTION[work];
  await once(client, budget.warmupMs);
  return await once(client, budget.measureMs);
}

const bulkMegabytes = async (client: BenchClient, ms: number): Promise<Sample> => ({
  value: (await bulk(client, ms)) / 1e6,
});

const ON_ONE_CONNECTION: Readonly<
  Record<Exclude<Work, "handshakes">, (client: BenchClient, ms: number) => Promise<Sample>>
> = {
  "unary-1": async (client, ms) => {
    const micros = await latencies(client, ms);
    return { value: quantile(micros, 0.5), extra: { "µs p99": quantile(micros, 0.99) } };
  },
  "unary-64": async (client, ms) => ({ value: await requests(client, ms) }),
  events: async (client, ms) => ({ value: await events(client, ms) }),
  bulk: bulkMegabytes,
  "bulk-1350": bulkMegabytes,
};

/** Microseconds of each request, one at a time. */
async function latencies(client: BenchClient, ms: number): Promise<number[]> {
  const micros: number[] = [];
  const stop = performance.now() + ms;
  for (let start = performance.now(); start < stop;) {
    await client.unary();
    const end = performance.now();
    micros.push((end - start) * 1e3);
    start = end;
  }
  return micros;
}

/** Requests per second. */
async function requests(client: BenchClient, ms: number): Promise<number> {
  return await perSecond(CONCURRENT_REQUESTS, ms, () => client.unary());
}

/** Connections per second; one counts when the server has answered its first request. Closing is part of the load, not of the count. */
async function handshakes(dial: Dial, ms: number): Promise<number> {
  const closing: PromiseLike<void>[] = [];
  const rate = await perSecond(CONCURRENT_HANDSHAKES, ms, async () => {
    const client = await dial();
    await client.unary();
    closing.push(client[Symbol.asyncDispose]());
  });
  await Promise.all(closing);
  return rate;
}

async function perSecond(workers: number, ms: number, once: () => Promise<void>): Promise<number> {
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
  return done / ((performance.now() - start) / 1e3);
}

/** Events per second, until the server has said how many it decoded. */
async function events(client: BenchClient, ms: number): Promise<number> {
  const sink = await client.openEvents();
  let seq = 0;
  return await stream(sink, ms, async () => {
    for (const last = seq + EVENTS_PER_LOOK; seq < last; seq++) {
      const full = sink.write(encodeEvent(seq));
      if (full !== undefined) await full;
    }
    return EVENTS_PER_LOOK;
  });
}

/** Bytes per second, until the server has said how many it got. */
async function bulk(client: BenchClient, ms: number): Promise<number> {
  const sink = await client.openBulk();
  return await stream(sink, ms, async () => {
    const full = sink.write(BULK_CHUNK);
    if (full !== undefined) await full;
    return BULK_CHUNK.length;
  });
}

async function stream(sink: Sink, ms: number, write: () => Promise<number>): Promise<number> {
  let sent = 0;
  const start = performance.now();
  const stop = start + ms;
  while (performance.now() < stop) sent += await write();
  const counted = await sink.finish();
  const seconds = (performance.now() - start) / 1e3;
  if (counted !== sent) throw new Error(`sent ${String(sent)}, but the server counted ${String(counted)}`);
  return counted / seconds;
}
