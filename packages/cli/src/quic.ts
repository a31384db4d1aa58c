import type { Transport } from "@quaymesh/protocol";

/** The network of every command that needs one: QUIC. Loaded on demand, so that the others start without the native binding. */
export async function openTransport(): Promise<Transport> {
  const { createQuicTransport } = await import("@quaymesh/transport-quic");
  return createQuicTransport();
}
