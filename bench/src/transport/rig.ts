import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import type { BenchCredentials } from "./credentials.ts";
import { Worker } from "./process.ts";
import { workOf } from "./rows.ts";

const START_MS = 20_000;
/** What a cell may take beyond its budget, for the last answers and for closing, before it counts as hung. */
const GRACE_MS = 20_000;

/** A server and a client process for each system, started fresh; those not being measured are idle. */
export class TransportRig implements Rig {
  readonly #clients: ReadonlyMap<string, Worker>;
  readonly #workers: AsyncDisposableStack;

  private constructor(clients: ReadonlyMap<string, Worker>, workers: AsyncDisposableStack) {
    this.#clients = clients;
    this.#workers = workers;
  }

  /** Start every system's pair. @throws {Error} when one does not start */
  static async open(credentials: BenchCredentials, options: RigOptions): Promise<TransportRig> {
    await using workers = new AsyncDisposableStack();
    const { profileDir, signal } = options;
    const clients = new Map<string, Worker>();
    for (const name of options.systems) {
      // Clients were used last and end first, so no server reports a connection that was cut.
      const server = workers.use(Worker.start({ system: name, role: "server", profileDir }));
      const client = workers.use(Worker.start({ system: name, role: "client", profileDir }));
      const wait = { timeoutMs: START_MS, signal };
      const serving = await server.ask({ type: "serve", tls: credentials.server }, wait);
      if (serving.type !== "serving") throw new Error(`the server of ${name} answered "${serving.type}"`);
      await client.ask({ type: "prepare", tls: credentials.client, ports: serving.ports }, wait);
      clients.set(name, client);
    }
    return new TransportRig(clients, workers.move());
  }

  async measure(work: string, system: string, budget: Budget, signal: AbortSignal): Promise<Sample> {
    const client = this.#clients.get(system);
    if (client === undefined) throw new RangeError(`${system} was not started`);
    const timeoutMs = budget.warmupMs + budget.measureMs + GRACE_MS;
    const reply = await client.ask({ type: "measure", work: workOf(work), budget }, { timeoutMs, signal });
    if (reply.type !== "sample") throw new Error(`the client of ${system} answered "${reply.type}"`);
    return reply.sample;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers.disposeAsync();
  }
}
