import type { Transport } from "@quaymesh/protocol";
import { Option } from "commander";
import { wholeNumber } from "./command.ts";

/** What the command line says of the network. */
export interface TransportFlags {
  readonly datagramBytes?: number | undefined;
  /** Where to write a trace of each connection. */
  readonly trace?: string | undefined;
  /** When a listener has newcomers prove their address. */
  readonly retry?: "auto" | "always" | undefined;
}

/** The network of every command that needs one: QUIC. Loaded on demand, so that the others start without the native binding. */
export async function openTransport(options: TransportFlags = {}): Promise<Transport> {
  const { createQuicTransport } = await import("@quaymesh/transport-quic");
  const { datagramBytes, trace, retry } = options;
  return createQuicTransport({
    ...(datagramBytes !== undefined && { datagramBytes }),
    ...(retry !== undefined && { retry }),
    ...(trace !== undefined && { trace: { directory: trace } }),
  });
}

/** As the transport has them. */
const DATAGRAM_BYTES = { min: 1200, max: 16_384 };

/** `--datagram-bytes`, for every command that has a network. */
export function datagramOption(): Option {
  const text = "largest UDP payload to send and to take (default: 1350; on loopback 16384)";
  return new Option("--datagram-bytes <n>", text).argParser(wholeNumber(DATAGRAM_BYTES.min, DATAGRAM_BYTES.max));
}

/** `--trace`, for the commands that stay connected. An environment variable too, so that a service can be traced without a change of its command line. */
export function traceOption(): Option {
  return new Option("--trace <dir>", "write a qlog trace of each connection there").env("QUAYMESH_TRACE");
}

/** `--retry`, for what listens. */
export function retryOption(): Option {
  const text = "have newcomers prove their address: auto, while many knock at once, or always, a round trip more each";
  return new Option("--retry <when>", text).choices(["auto", "always"]);
}
