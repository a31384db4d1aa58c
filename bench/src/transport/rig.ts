import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import type { BenchCredentials } from "./credentials.ts";
import { Worker, type AskOptions } from "./process.ts";
import { workOf } from "./rows.ts";

const START_MS = 20_000;
/** What a command may take beyond its budget, for the last answers and for closing, before it counts as hung. */
const GRACE_MS = 20_000;

interface Pair {
  readonly server: Worker;
  readonly client: Worker;
}

/** A server and a client process for each system, started fresh; those not being measured are idle. */
export class TransportRig implements Rig {
  readonly #pairs: ReadonlyMap<string, Pair>;
  readonly #workers: AsyncDisposableStack;

  private constructor(pairs: ReadonlyMap<string, Pair>, workers: AsyncDisposableStack) {
    this.#pairs = pairs;
    this.#workers = workers;
  }

  /** Start every system's pair. @throws {Error} when one does not start */
  static async open(credentials: BenchCredentials, options: RigOptions): Promise<TransportRig> {
    await using workers = new AsyncDisposableStack();
    const { profileDir, signal } = options;
    const wait: AskOptions = { timeoutMs: START_MS, signal };
    const pairs = new Map<string, Pair>();
    for (const system of options.systems) {
      // Clients are used last and end first, so no server reports a connection that was cut.
      const server = workers.use(Worker.start({ system, role: "server", profileDir }));
      const client = workers.use(Worker.start({ system, role: "client", profileDir }));
      const { ports } = await server.ask({ type: "serve", tls: credentials.server }, "serving", wait);
      await client.ask({ type: "prepare", tls: credentials.client, ports }, "prepared", wait);
      pairs.set(system, { server, client });
    }
    return new TransportRig(pairs, workers.move());
  }

  async measure(work: string, system: string, budget: Budget, signal: AbortSignal): Promise<Sample> {
    const pair = this.#pairs.get(system);
    if (pair === undefined) throw new RangeError(`${system} was not started`);
    const { client } = pair;
    const wait = (ms: number): AskOptions => ({ timeoutMs: ms + GRACE_MS, signal });
    await client.ask({ type: "open", work: workOf(work) }, "opened", wait(0));
    await client.ask({ type: "run", ms: budget.warmupMs }, "measured", wait(budget.warmupMs));
    const before = await cpuMicros(pair, wait(0));
    const reply = await client.ask({ type: "run", ms: budget.measureMs }, "measured", wait(budget.measureMs));
    const spent = (await cpuMicros(pair, wait(0))) - before;
    await client.ask({ type: "close" }, "closed", wait(0));
    const { value, operations, extra } = reply.measured;
    return { value, extra: { ...extra, "CPU µs/op": spent / operations } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers.disposeAsync();
  }
}

/** CPU time of both processes so far. */
async function cpuMicros({ server, client }: Pair, wait: AskOptions): Promise<number> {
  const ends = await Promise.all([server, client].map((end) => end.ask({ type: "usage" }, "usage", wait)));
  return ends.reduce((sum, end) => sum + end.cpuMicros, 0);
}
