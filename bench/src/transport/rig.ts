import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import type { BenchCredentials } from "./credentials.ts";
import { Worker, type AskOptions } from "./process.ts";
import { workOf, type Work } from "./rows.ts";

const START_MS = 20_000;
/** What a command may take beyond its budget, for the last answers and for closing, before it counts as hung. */
const GRACE_MS = 20_000;

interface Pair extends AsyncDisposable {
  readonly server: Worker;
  readonly client: Worker;
}

/** A server and a client process for each system, started when it is measured first and again after it failed; those not being measured are idle. */
export class TransportRig implements Rig {
  readonly #credentials: BenchCredentials;
  readonly #profileDir: string | null;
  readonly #pairs = new Map<string, Pair>();

  constructor(credentials: BenchCredentials, { profileDir }: Pick<RigOptions, "profileDir">) {
    this.#credentials = credentials;
    this.#profileDir = profileDir;
  }

  async measure(work: string, system: string, budget: Budget, signal: AbortSignal): Promise<Sample> {
    const pair = this.#pairs.get(system) ?? (await this.#start(system, signal));
    try {
      return await sampleOf(pair, workOf(work), budget, signal);
    } catch (error) {
      // Whatever is left of it, another row shall not meet it.
      this.#pairs.delete(system);
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(system: string, signal: AbortSignal): Promise<Pair> {
    await using workers = new AsyncDisposableStack();
    const profileDir = this.#profileDir;
    const wait: AskOptions = { timeoutMs: START_MS, signal };
    // Clients are used last and end first, so no server reports a connection that was cut.
    const server = workers.use(Worker.start({ system, role: "server", profileDir }));
    const client = workers.use(Worker.start({ system, role: "client", profileDir }));
    const { ports } = await server.ask({ type: "serve", tls: this.#credentials.server, state: null }, "serving", wait);
    await client.ask({ type: "prepare", tls: this.#credentials.client, ports, devices: null }, "prepared", wait);
    const started = workers.move();
    const pair: Pair = { server, client, [Symbol.asyncDispose]: () => started.disposeAsync() };
    this.#pairs.set(system, pair);
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using ending = new AsyncDisposableStack();
    for (const pair of this.#pairs.values()) ending.use(pair);
  }
}

async function sampleOf(pair: Pair, work: Work, budget: Budget, signal: AbortSignal): Promise<Sample> {
  const { client } = pair;
  const wait = (ms: number): AskOptions => ({ timeoutMs: ms + GRACE_MS, signal });
  await client.ask({ type: "open", work }, "opened", wait(0));
  await client.ask({ type: "run", ms: budget.warmupMs }, "measured", wait(budget.warmupMs));
  const before = await cpuMicros(pair, wait(0));
  const reply = await client.ask({ type: "run", ms: budget.measureMs }, "measured", wait(budget.measureMs));
  const spent = (await cpuMicros(pair, wait(0))) - before;
  await client.ask({ type: "close" }, "closed", wait(0));
  const { value, operations, extra } = reply.measured;
  return { value, extra: { ...extra, "CPU µs/op": spent / operations } };
}

/** CPU time of both processes so far. */
async function cpuMicros({ server, client }: Pair, wait: AskOptions): Promise<number> {
  const ends = await Promise.all([server, client].map((end) => end.ask({ type: "usage" }, "usage", wait)));
  return ends.reduce((sum, end) => sum + end.cpuMicros, 0);
}
