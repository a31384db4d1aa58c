/** A worker process: `worker.ts SYSTEM` is one system's server or client, whichever the runner tells it to be. */
import { HeldSessions, reconnect, request } from "./held.ts";
import { collectGarbage, memoryAfterGc } from "./memory.ts";
import { parseCommand, type Command, type Reply } from "./messages.ts";
import type { Work } from "./rows.ts";
import { loadSystem } from "./systems/index.ts";
import type { BenchClient, BenchServer, Datagrams, Dial } from "./systems/system.ts";
import { openCell, type Cell } from "./work.ts";

interface Client {
  readonly kind: "client";
  readonly dialers: Readonly<Record<Datagrams, Dial>>;
  readonly held: HeldSessions;
  /** For `request`: opened with the first, and kept. */
  connection: BenchClient | null;
}

type Role = { readonly kind: "new" } | { readonly kind: "server"; readonly server: BenchServer } | Client;

const system = await loadSystem(process.argv[2] ?? "");
let role: Role = { kind: "new" };
let cell: Cell | null = null;

const datagramsOf = (work: Work): Datagrams => (work === "bulk-1350" ? "1350" : "default");

function client(): Client {
  if (role.kind !== "client") throw new Error("this worker is not prepared as a client");
  return role;
}

function server(): BenchServer {
  if (role.kind !== "server") throw new Error("this worker does not serve");
  return role.server;
}

async function obey(command: Exclude<Command, { type: "stop" }>): Promise<Reply> {
  switch (command.type) {
    case "serve": {
      const server = await system.serve(command);
      role = { kind: "server", server };
      return { type: "serving", ports: server.ports };
    }
    case "prepare": {
      const dial = system.dialer(command);
      const dialers = { default: dial("default"), "1350": dial("1350") };
      role = { kind: "client", dialers, held: new HeldSessions(dialers.default), connection: null };
      return { type: "prepared" };
    }
    case "open":
      cell = await openCell(command.work, client().dialers[datagramsOf(command.work)]);
      return { type: "opened" };
    case "run":
      if (cell === null) throw new Error("no cell is open");
      return { type: "measured", measured: await cell.run(command.ms) };
    case "close":
      await cell?.[Symbol.asyncDispose]();
      cell = null;
      return { type: "closed" };
    case "usage": {
      const { user, system: kernel } = process.cpuUsage();
      return { type: "usage", cpuMicros: user + kernel };
    }
    case "collect":
      collectGarbage();
      return { type: "done" };
    case "memory":
      return { type: "memory", memory: await memoryAfterGc() };
    case "count":
      return { type: "count", connections: await server().connections() };
    default:
      return await obeyWithMany(command, client());
  }
}

type WithMany = Extract<Command, { type: "hold" | "touch" | "release" | "reconnect" | "request" }>;

async function obeyWithMany(command: WithMany, client: Client): Promise<Reply> {
  switch (command.type) {
    case "hold":
      return { type: "held", seconds: await client.held.hold(command.sessions, command.atOnce) };
    case "touch":
      return { type: "measured", measured: await client.held.touch(command.ms) };
    case "release":
      await client.held[Symbol.asyncDispose]();
      return { type: "done" };
    case "reconnect":
      await reconnect(client.dialers.default, command.times);
      return { type: "done" };
    case "request":
      client.connection ??= await client.dialers.default();
      await request(client.connection, command.times);
      return { type: "done" };
    default:
      return command satisfies never;
  }
}

async function stop(): Promise<never> {
  if (role.kind === "server") await role.server[Symbol.asyncDispose]();
  // Not left to the event loop: a peer's lingering handle must not hold the run up. A CPU profile is still written.
  process.exit(0);
}

async function handle(value: unknown): Promise<void> {
  let reply: Reply;
  try {
    const command = parseCommand(value);
    reply = command.type === "stop" ? await stop() : await obey(command);
  } catch (error) {
    reply = { type: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.send?.(reply);
}

process.on("message", (value) => void handle(value));
// The runner is gone: nobody will say stop.
process.on("disconnect", () => process.exit(1));
