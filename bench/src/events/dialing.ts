import type { Transport } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";

/** QUIC to the gateway of this run, wherever a node's state says that it is. */
export function dialing(port: number): Transport {
  const quic = createQuicTransport();
  return {
    listen: (options) => quic.listen(options),
    dial: (_address, options) => quic.dial({ host: "127.0.0.1", port }, options),
  };
}
