/** What the runner and its worker processes say to each other. Both are this code, started together; the checks catch a mistake, not an attacker. */
import { workOf, type Work } from "./rows.ts";
import type { Ports, TlsMaterial } from "./systems/system.ts";
import type { Measured } from "./work.ts";

/** To a worker. */
export type Command =
  | { readonly type: "serve"; readonly tls: TlsMaterial }
  | { readonly type: "prepare"; readonly tls: TlsMaterial; readonly ports: Ports }
  /** Open a cell; `run` and `close` are for this one. */
  | { readonly type: "open"; readonly work: Work }
  | { readonly type: "run"; readonly ms: number }
  | { readonly type: "close" }
  | { readonly type: "usage" }
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
  | { readonly type: "failed"; readonly message: string };

/** The reply of one type. */
export type ReplyOf<T extends Reply["type"]> = Extract<Reply, { readonly type: T }>;

type Fields = Readonly<Record<string, unknown>>;

/** @throws {TypeError} */
export function parseCommand(value: unknown): Command {
  const message = fieldsOf(value);
  switch (message["type"]) {
    case "serve":
      return { type: "serve", tls: tlsOf(message["tls"]) };
    case "prepare":
      return { type: "prepare", tls: tlsOf(message["tls"]), ports: portsOf(message["ports"]) };
    case "open":
      return { type: "open", work: workOf(textOf(message["work"])) };
    case "run":
      return { type: "run", ms: numberOf(message["ms"]) };
    case "close":
    case "usage":
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
      return { type: message["type"] };
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
