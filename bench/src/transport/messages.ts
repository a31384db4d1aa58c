/** What the runner and its worker processes say to each other. Both are this code, started together; the checks catch a mistake, not an attacker. */
import { workOf, type Work } from "./rows.ts";
import type { MemoryBytes } from "./memory.ts";
import type { Devices, Ports, TlsMaterial } from "./systems/system.ts";
import type { Measured } from "./work.ts";

/** To a worker. */
export type Command =
  /** `state`: the directory of a gateway's state; null for what has none. */
  | { readonly type: "serve"; readonly tls: TlsMaterial; readonly state: string | null }
  /** `devices`: who the client is, one after the other; null: `tls` says it. */
  | { readonly type: "prepare"; readonly tls: TlsMaterial; readonly ports: Ports; readonly devices: Devices | null }
  /** Open a cell; `run` and `close` are for this one. */
  | { readonly type: "open"; readonly work: Work }
  | { readonly type: "run"; readonly ms: number }
  | { readonly type: "close" }
  | { readonly type: "usage" }
  /** Collect garbage, as it happens anyway sooner or later. The process must have been started with `--expose-gc`. */
  | { readonly type: "collect" }
  /** Collect garbage thoroughly, then say how much memory the process has. As for `collect`. */
  | { readonly type: "memory" }
  /** How many connections the server holds. */
  | { readonly type: "count" }
  /** Open so many sessions more and keep them, so many at once. */
  | { readonly type: "hold"; readonly sessions: number; readonly atOnce: number }
  /** Requests one at a time over some of the held sessions, in turn. */
  | { readonly type: "touch"; readonly ms: number }
  /** Close all held sessions. */
  | { readonly type: "release" }
  /** So many connections, each opened, used once and closed. */
  | { readonly type: "reconnect"; readonly times: number }
  /** So many requests on one connection, which stays, each on a stream of its own. */
  | { readonly type: "request"; readonly times: number }
  | { readonly type: "stop" };

/** From a worker: one reply to each command but `stop`. */
export type Reply =
  | { readonly type: "serving"; readonly ports: Ports }
  | { readonly type: "prepared" }
  | { readonly type: "opened" }
  | { readonly type: "measured"; readonly measured: Measured }
  | { readonly type: "closed" }
  /** CPU time of the process so far, user and system. */
  | { readonly type: "usage"; readonly cpuMicros: number }
  | { readonly type: "memory"; readonly memory: MemoryBytes }
  | { readonly type: "count"; readonly connections: number }
  | { readonly type: "held"; readonly seconds: number }
  | { readonly type: "done" }
  | { readonly type: "failed"; readonly message: string };

/** The reply of one type. */
export type ReplyOf<T extends Reply["type"]> = Extract<Reply, { readonly type: T }>;

type Fields = Readonly<Record<string, unknown>>;

/** @throws {TypeError} */
export function parseCommand(value: unknown): Command {
  const message = fieldsOf(value);
  switch (message["type"]) {
    case "serve":
      return { type: "serve", tls: tlsOf(message["tls"]), state: orNull(message["state"], textOf) };
    case "prepare":
      return {
        type: "prepare",
        tls: tlsOf(message["tls"]),
        ports: portsOf(message["ports"]),
        devices: orNull(message["devices"], devicesOf),
      };
    case "open":
      return { type: "open", work: workOf(textOf(message["work"])) };
    case "run":
    case "touch":
      return { type: message["type"], ms: numberOf(message["ms"]) };
    case "hold":
      return { type: "hold", sessions: numberOf(message["sessions"]), atOnce: numberOf(message["atOnce"]) };
    case "reconnect":
    case "request":
      return { type: message["type"], times: numberOf(message["times"]) };
    case "close":
    case "usage":
    case "collect":
    case "memory":
    case "count":
    case "release":
    case "stop":
      return { type: message["type"] };
    default:
      throw new TypeError("an unknown command");
  }
}

/** @throws {TypeError} */
export function parseReply(value: unknown): Reply {
  const message = fieldsOf(value);
  switch (message["type"]) {
    case "serving":
      return { type: "serving", ports: portsOf(message["ports"]) };
    case "prepared":
    case "opened":
    case "closed":
    case "done":
      return { type: message["type"] };
    case "memory":
      return { type: "memory", memory: memoryOf(fieldsOf(message["memory"])) };
    case "count":
      return { type: "count", connections: numberOf(message["connections"]) };
    case "held":
      return { type: "held", seconds: numberOf(message["seconds"]) };
    case "measured":
      return { type: "measured", measured: measuredOf(fieldsOf(message["measured"])) };
    case "usage":
      return { type: "usage", cpuMicros: numberOf(message["cpuMicros"]) };
    case "failed":
      return { type: "failed", message: textOf(message["message"]) };
    default:
      throw new TypeError("an unknown reply");
  }
}

function measuredOf(measured: Fields): Measured {
  const extra = Object.entries(fieldsOf(measured["extra"])).map(([name, value]) => [name, numberOf(value)] as const);
  return {
    value: numberOf(measured["value"]),
    operations: numberOf(measured["operations"]),
    extra: Object.fromEntries(extra),
  };
}

function memoryOf({ rss, heap, external }: Fields): MemoryBytes {
  return { rss: numberOf(rss), heap: numberOf(heap), external: numberOf(external) };
}

function devicesOf(value: unknown): Devices {
  const { file, first } = fieldsOf(value);
  return { file: textOf(file), first: numberOf(first) };
}

function orNull<T>(value: unknown, parse: (value: unknown) => T): T | null {
  return value === null ? null : parse(value);
}

function tlsOf(value: unknown): TlsMaterial {
  const { keyPem, chainPem, rootPem, serverName } = fieldsOf(value);
  return {
    keyPem: textOf(keyPem),
    chainPem: textOf(chainPem),
    rootPem: textOf(rootPem),
    serverName: textOf(serverName),
  };
}

function portsOf(value: unknown): Ports {
  const ports = fieldsOf(value);
  return { default: numberOf(ports["default"]), "1350": numberOf(ports["1350"]) };
}

function fieldsOf(value: unknown): Fields {
  if (typeof value !== "object" || value === null) throw new TypeError("expected an object");
  return Object.fromEntries(Object.entries(value));
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("expected text");
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new TypeError("expected a number");
  return value;
}
