import type { Transport } from "@quaymesh/protocol";
import { Option } from "commander";
import { wholeNumber } from "./command.ts";

/** What the command line says of the network. */
export interface TransportFlags {
  readonly datagramBytes?: number | undefined;
  /** Where to write a trace of each connection. */
  readonly trace?: string | undefined;
  /** When a listener has newcomers prove their address. */
  readonly validateAddresses?: "auto" | "always" | undefined;
  /** `plain`: load no more native code than QUIC itself needs. */
  readonly systemCalls?: "auto" | "plain" | undefined;
}

/** The network of every command that needs one: QUIC. Loaded on demand, so that the others start without the native binding. */
export async function openTransport(options: TransportFlags = {}): Promise<Transport> {
  const { createQuicTransport } = await import("@quaymesh/transport-quic");
  const { datagramBytes, trace, validateAddresses, systemCalls } = options;
  return createQuicTransport({
    ...(datagramBytes !== undefined && { datagramBytes }),
    ...(validateAddresses !== undefined && { retry: validateAddresses }),
    ...(systemCalls !== undefined && { systemCalls }),
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

/** `--validate-addresses`, for what listens. */
export function validationOption(): Option {
  const text = "by Retry, before TLS: auto, while many knock at once; or always, a round trip more for each";
  return new Option("--validate-addresses <when>", text).choices(["auto", "always"]);
}
