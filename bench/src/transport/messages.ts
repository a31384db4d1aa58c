/** What the runner and its worker processes say to each other. Both are this code, started together; the checks catch a mistake, not an attacker. */
import type { Budget, Sample } from "../suite.ts";
import { workOf, type Work } from "./rows.ts";
import type { Ports, TlsMaterial } from "./systems/system.ts";

/** To a worker. */
export type Command =
  | { readonly type: "serve"; readonly tls: TlsMaterial }
  | { readonly type: "prepare"; readonly tls: TlsMaterial; readonly ports: Ports }
  | { readonly type: "measure"; readonly work: Work; readonly budget: Budget }
  | { readonly type: "stop" };

/** From a worker: one reply to each command but `stop`. */
export type Reply =
  | { readonly type: "serving"; readonly ports: Ports }
  | { readonly type: "prepared" }
  | { readonly type: "sample"; readonly sample: Sample }
  | { readonly type: "failed"; readonly message: string };

type Fields = Readonly<Record<string, unknown>>;

/** @throws {TypeError} */
export function parseCommand(value: unknown): Command {
  const message = fieldsOf(value);
  switch (message["type"]) {
    case "serve":
      return { type: "serve", tls: tlsOf(message["tls"]) };
    case "prepare":
      return { type: "prepare", tls: tlsOf(message["tls"]), ports: portsOf(message["ports"]) };
    case "measure": {
      const budget = fieldsOf(message["budget"]);
      const work = workOf(textOf(message["work"]));
      return {
        type: "measure",
        work,
        budget: { warmupMs: numberOf(budget["warmupMs"]), measureMs: numberOf(budget["measureMs"]) },
      };
    }
    case "stop":
      return { type: "stop" };
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
      return { type: "prepared" };
    case "sample":
      return { type: "sample", sample: sampleOf(fieldsOf(message["sample"])) };
    case "failed":
      return { type: "failed", message: textOf(message["message"]) };
    default:
      throw new TypeError("an unknown reply");
  }
}

function sampleOf(sample: Fields): Sample {
  const extra = Object.entries(fieldsOf(sample["extra"] ?? {})).map(
    ([name, value]) => [name, numberOf(value)] as const,
  );
  return { value: numberOf(sample["value"]), extra: Object.fromEntries(extra) };
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
