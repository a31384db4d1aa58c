import { setTimeout as delay } from "node:timers/promises";
import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import type { BenchCredentials } from "../transport/credentials.ts";
import type { MemoryBytes } from "../transport/memory.ts";
import { Worker, type AskOptions } from "../transport/process.ts";
import { churnWorkOf } from "./rows.ts";
import { growthOf } from "./trend.ts";

const START_MS = 20_000;
const STEP_MS = 180_000;
/** How often memory is looked at. */
const FEWEST_LOOKS = 4;
const MOST_LOOKS = 20;
/** Connections that close are drained within this. */
const DRAINED_MS = 15_000;
const LOOK_AGAIN_MS = 50;
const KB = 1e3;
const MB = 1e6;

/** What is repeated: the word for it to the workers, and how much of it lies between two looks at least. */
const KINDS = {
  connections: { command: "reconnect", between: 100 },
  streams: { command: "request", between: 1000 },
} as const;

type Kind = keyof typeof KINDS;
type End = "server" | "client";
interface Look {
  readonly operations: number;
  readonly memory: Readonly<Record<End, MemoryBytes>>;
}

/** Runs each kind of churn once for each system, with processes of its own; server's and client's rows read off the same run. */
export class ChurnRig implements Rig {
  readonly #credentials: BenchCredentials;
  readonly #options: RigOptions;
  readonly #runs = new Map<string, Promise<readonly Look[]>>();

  constructor(credentials: BenchCredentials, options: RigOptions) {
    this.#credentials = credentials;
    this.#options = options;
  }

  async measure(name: string, system: string, _budget: Budget): Promise<Sample> {
    const work = churnWorkOf(name);
    const kind: Kind = work.startsWith("connections-") ? "connections" : "streams";
    const key = `${kind} ${system}`;
    let run = this.#runs.get(key);
    if (run === undefined) this.#runs.set(key, (run = this.#run(kind, system)));
    return sampleOf(await run, work.endsWith("-server") ? "server" : "client");
  }

  async #run(kind: Kind, system: string): Promise<readonly Look[]> {
    const { settings, profileDir, note, signal } = this.#options;
    const { command, between } = KINDS[kind];
    const total = settings[kind];
    if (total === undefined) throw new RangeError(`how many ${kind}?`);
    const planned = Math.min(MOST_LOOKS, Math.max(FEWEST_LOOKS, Math.floor(total / between)));
    await using workers = new AsyncDisposableStack();
    const start = (role: End) => workers.use(Worker.start({ system, role, profileDir, exposesGc: true }));
    const wait: AskOptions = { timeoutMs: START_MS, signal };
    const server = start("server");
    const client = start("client");
    const { ports } = await server.ask({ type: "serve", tls: this.#credentials.server, state: null }, "serving", wait);
    const tls = this.#credentials.client;
    await client.ask({ type: "prepare", tls, ports, devices: null }, "prepared", wait);
    const looks: Look[] = [];
    const times = Math.max(1, Math.round(total / planned));
    for (let look = 1; look <= planned; look++) {
      await client.ask({ type: command, times }, "done", { timeoutMs: STEP_MS, signal });
      if (kind === "connections") await drained(server, wait);
      const memory = { server: await memoryOf(server, wait), client: await memoryOf(client, wait) };
      looks.push({ operations: look * times, memory });
      note(`${system}: ${String(look * times)} ${kind}, server's RSS ${(memory.server.rss / MB).toFixed(1)} MB`);
    }
    return looks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#runs.values());
  }
}

async function memoryOf(worker: Worker, wait: AskOptions): Promise<MemoryBytes> {
  return (await worker.ask({ type: "memory" }, "memory", wait)).memory;
}

/** Wait until the server has forgotten all connections: one that is being drained is no leak, one that is not forgotten is. */
async function drained(server: Worker, wait: AskOptions): Promise<void> {
  const stop = performance.now() + DRAINED_MS;
  for (;;) {
    const { connections } = await server.ask({ type: "count" }, "count", wait);
    if (connections === 0) return;
    if (performance.now() > stop) throw new Error(`${String(connections)} closed connections are not forgotten`);
    await delay(LOOK_AGAIN_MS, undefined, { signal: wait.signal });
  }
}

/** The slope of the second half, in KB for 1 000 operations. */
function sampleOf(looks: readonly Look[], end: End): Sample {
  const slope = (figure: (memory: MemoryBytes) => number) =>
    (growthOf(looks.map(({ operations, memory }) => ({ operations, value: figure(memory[end]) }))) * 1000) / KB;
  const rss = looks.map(({ memory }) => memory[end].rss);
  const at = (index: number) => (rss.at(index) ?? Number.NaN) / MB;
  return {
    value: slope((memory) => memory.rss),
    extra: {
      "JS of it": slope((memory) => memory.heap + memory.external),
      "first MB": at(0),
      "half MB": at(Math.floor(rss.length / 2)),
      "last MB": at(-1),
    },
  };
}
