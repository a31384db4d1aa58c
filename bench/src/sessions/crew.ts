import type { BenchCredentials } from "../transport/credentials.ts";
import type { MemoryBytes } from "../transport/memory.ts";
import type { Measured } from "../transport/work.ts";
import { Worker, type AskOptions } from "../transport/process.ts";

const START_MS = 60_000;
/** What a command may take before it counts as hung, beyond what it has to do. */
const GRACE_MS = 30_000;
/** A handshake takes a few milliseconds; on a machine that others use too, more. */
const MS_PER_SESSION = 50;
const LOOK_AGAIN_MS = 50;

/** How a crew is started. */
export interface CrewOptions {
  readonly system: string;
  readonly credentials: BenchCredentials;
  /** A gateway's state and its devices' credentials, in the order in which clients take them; null for what has none. */
  readonly enrolled: { readonly state: string; readonly devicesFile: string } | null;
  /** Most sessions that each client process will hold; one process for each entry. */
  readonly shares: readonly number[];
  readonly profileDir: string | null;
  readonly signal: AbortSignal;
}

/** A server process and the client processes that hold sessions with it. */
export class Crew implements AsyncDisposable {
  readonly #server: Worker;
  readonly #clients: readonly Worker[];
  readonly #workers: AsyncDisposableStack;
  readonly #signal: AbortSignal;

  private constructor(server: Worker, clients: readonly Worker[], rest: [AsyncDisposableStack, AbortSignal]) {
    this.#server = server;
    this.#clients = clients;
    [this.#workers, this.#signal] = rest;
  }

  /** Start the processes. @throws {Error} when one does not start */
  static async start(options: CrewOptions): Promise<Crew> {
    const { system, credentials, enrolled, shares, profileDir, signal } = options;
    await using workers = new AsyncDisposableStack();
    const wait: AskOptions = { timeoutMs: START_MS, signal };
    const start = (role: "server" | "client") =>
      workers.use(Worker.start({ system, role, profileDir, exposesGc: true }));
    // The server first: it is ended last, when no client is left to be cut off.
    const server = start("server");
    const state = enrolled?.state ?? null;
    const { ports } = await server.ask({ type: "serve", tls: credentials.server, state }, "serving", wait);
    const clients: Worker[] = [];
    let first = 0;
    for (const share of shares) {
      const client = start("client");
      const devices = enrolled === null ? null : { file: enrolled.devicesFile, first };
      await client.ask({ type: "prepare", tls: credentials.client, ports, devices }, "prepared", wait);
      clients.push(client);
      first += share;
    }
    return new Crew(server, clients, [workers.move(), signal]);
  }

  /** Open sessions until each client has its `targets`; `held` is what they have. @returns seconds it took */
  async hold(held: readonly number[], targets: readonly number[], atOnce: number): Promise<number> {
    const each = Math.max(1, Math.floor(atOnce / this.#clients.length));
    const more = targets.map((target, index) => target - (held[index] ?? 0));
    const wait = this.#wait(Math.max(...more) * MS_PER_SESSION);
    const replies = await Promise.all(
      this.#clients.map((client, index) =>
        client.ask({ type: "hold", sessions: more[index] ?? 0, atOnce: each }, "held", wait),
      ),
    );
    return Math.max(...replies.map(({ seconds }) => seconds));
  }

  /** Wait until the server holds `wanted` connections: those that close may take a moment. @throws {Error} when it does not come to that */
  async settle(wanted: number): Promise<void> {
    const stop = performance.now() + GRACE_MS;
    for (;;) {
      const { connections } = await this.#server.ask({ type: "count" }, "count", this.#wait(0));
      if (connections === wanted) return;
      if (performance.now() > stop) {
        throw new Error(`the server holds ${String(connections)} connections, not ${String(wanted)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  /** Have the server collect the garbage of what was done before. */
  async collect(): Promise<void> {
    await this.#server.ask({ type: "collect" }, "done", this.#wait(0));
  }

  /** The server's memory, its garbage collected thoroughly. */
  async memory(): Promise<MemoryBytes> {
    return (await this.#server.ask({ type: "memory" }, "memory", this.#wait(0))).memory;
  }

  /** CPU time of the server so far, in seconds. */
  async cpuSeconds(): Promise<number> {
    return (await this.#server.ask({ type: "usage" }, "usage", this.#wait(0))).cpuMicros / 1e6;
  }

  /** Requests one at a time, over sessions of the first client. */
  async touch(ms: number): Promise<Measured> {
    const client = this.#clients[0];
    if (client === undefined) throw new RangeError("there is no client");
    return (await client.ask({ type: "touch", ms }, "measured", this.#wait(ms))).measured;
  }

  /** Close all sessions. */
  async release(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.ask({ type: "release" }, "done", this.#wait(GRACE_MS))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers.disposeAsync();
  }

  #wait(ms: number): AskOptions {
    return { timeoutMs: ms + GRACE_MS, signal: this.#signal };
  }
}
