/** A worker process: `worker.ts SYSTEM` is one system's server or client, whichever the runner tells it to be. */
import { parseCommand, type Command, type Reply } from "./messages.ts";
import type { Work } from "./rows.ts";
import { loadSystem } from "./systems/index.ts";
import type { BenchServer, Datagrams, Dial } from "./systems/system.ts";
import { openCell, type Cell } from "./work.ts";

type Role =
  | { readonly kind: "new" }
  | { readonly kind: "server"; readonly server: BenchServer }
  | { readonly kind: "client"; readonly dialers: Readonly<Record<Datagrams, Dial>> };

const system = await loadSystem(process.argv[2] ?? "");
let role: Role = { kind: "new" };
let cell: Cell | null = null;

const datagramsOf = (work: Work): Datagrams => (work === "bulk-1350" ? "1350" : "default");

async function obey(command: Exclude<Command, { type: "stop" }>): Promise<Reply> {
  switch (command.type) {
    case "serve": {
      const server = await system.serve(command.tls);
      role = { kind: "server", server };
      return { type: "serving", ports: server.ports };
    }
    case "prepare": {
      const dial = system.dialer(command.tls, command.ports);
      role = { kind: "client", dialers: { default: dial("default"), "1350": dial("1350") } };
      return { type: "prepared" };
    }
    case "open":
      if (role.kind !== "client") throw new Error("this worker is not prepared as a client");
      cell = await openCell(command.work, role.dialers[datagramsOf(command.work)]);
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
