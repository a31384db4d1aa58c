/**
 * What the gateway and the pairing endpoint's process say to each other, over a pipe of their own: one JSON object a line, byte strings in base64. Not Node's IPC channel, whose
 * reader takes messages of any size from a process that is the less trusted of the two.
 */
import type { ListenAddress, SocketAddress } from "@quaymesh/protocol";

/** Longest line either side reads: the largest frame in base64, or the orders with a key and three certificates. */
export const MAX_LINE_BYTES = 16_384;
/** How often the process says that it is alive. */
export const BEAT_MS = 1_000;
/** The pipe's file descriptor in the process. */
export const CHILD_PIPE_FD = 3;
/** The first of the sockets that the process inherits. */
export const FIRST_INHERITED_FD = CHILD_PIPE_FD + 1;
/** Addresses of an endpoint. */
const MAX_ADDRESSES = 64;

/** Gateway to process. */
export type ChildOrder =
  /** The first order: open the endpoint. */
  | {
      readonly kind: "listen";
      /** Descriptors are the process's own. */
      readonly addresses: readonly ListenAddress[];
      readonly keyPem: string;
      readonly chainPem: string;
      readonly maxConnections: number;
    }
  /** Write a frame to a peer's stream. */
  | { readonly kind: "send"; readonly id: number; readonly frame: string }
  /** Write the last frame to it, and end. */
  | { readonly kind: "end"; readonly id: number; readonly frame: string }
  /** Nothing more is to be said to it. */
  | { readonly kind: "drop"; readonly id: number }
  /** Close the endpoint and exit. */
  | { readonly kind: "stop" };

/** Process to gateway. `id` counts the peers from 1. */
export type ChildReport =
  /** `at`: which of the ordered addresses each was bound for. */
  | { readonly kind: "listening"; readonly addresses: readonly (SocketAddress & { readonly at: number })[] }
  /** The endpoint could not be opened; the process exits. */
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "beat" }
  /** A peer completed TLS and sent its first frame. `spki` is SHA-256 of its key's SubjectPublicKeyInfo, in hex. */
  | {
      readonly kind: "peer";
      readonly id: number;
      readonly host: string;
      readonly port: number;
      readonly spki: string;
      readonly frame: string;
    }
  /** A further frame's body. */
  | { readonly kind: "frame"; readonly id: number; readonly frame: string }
  | { readonly kind: "gone"; readonly id: number };

/** A line for the pipe. */
export function encodeLine(message: ChildOrder | ChildReport): string {
  return `${JSON.stringify(message)}\n`;
}

/** Read a report; `undefined` for anything a sound process would not send. */
export function parseReport(line: string): ChildReport | undefined {
  const fields = parseObject(line);
  if (fields === undefined) return undefined;
  const { kind, id, port, host, spki, frame, code, message, addresses } = fields;
  switch (kind) {
    case "beat":
      return { kind };
    case "listening":
      return isList(addresses, isBound) ? { kind, addresses } : undefined;
    case "failed":
      return isText(code, 64) && isText(message, 1024) ? { kind, code, message } : undefined;
    case "peer":
      return isId(id) && isPort(port) && isText(host, 64) && isHex(spki) && isFrame(frame)
        ? { kind, id, host, port, spki, frame }
        : undefined;
    case "frame":
      return isId(id) && isFrame(frame) ? { kind, id, frame } : undefined;
    case "gone":
      return isId(id) ? { kind, id } : undefined;
    default:
      return undefined;
  }
}

/** Read an order; `undefined` for what no gateway sends. */
export function parseOrder(line: string): ChildOrder | undefined {
  const fields = parseObject(line);
  if (fields === undefined) return undefined;
  const { kind, id, frame } = fields;
  switch (kind) {
    case "listen":
      return parseListen(fields);
    case "send":
    case "end":
      return isId(id) && isFrame(frame) ? { kind, id, frame } : undefined;
    case "drop":
      return isId(id) ? { kind, id } : undefined;
    case "stop":
      return { kind };
    default:
      return undefined;
  }
}

function parseListen({ addresses, keyPem, chainPem, maxConnections }: Fields): ChildOrder | undefined {
  if (!isList(addresses, isListenAddress)) return undefined;
  if (!isText(keyPem, 4096) || !isText(chainPem, MAX_LINE_BYTES) || !isId(maxConnections)) return undefined;
  return { kind: "listen", addresses, keyPem, chainPem, maxConnections };
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === "string" && value.length <= maxLength;
}

function isList<T>(value: unknown, isItem: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.length > 0 && value.length <= MAX_ADDRESSES && value.every(isItem);
}

function isAddress(value: unknown): value is SocketAddress {
  return isFields(value) && isText(value["host"], 253) && isPort(value["port"]);
}

function isListenAddress(value: unknown): value is ListenAddress {
  return isAddress(value) || (isFields(value) && isId(value["fd"]));
}

function isBound(value: unknown): value is SocketAddress & { readonly at: number } {
  return isAddress(value) && isFields(value) && isPort(value["at"]);
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_535;
}

function isHex(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/u.test(value);
}

function isFrame(value: unknown): value is string {
  return typeof value === "string" && value.length <= 8192 && /^[A-Za-z0-9+/]+={0,2}$/u.test(value);
}
