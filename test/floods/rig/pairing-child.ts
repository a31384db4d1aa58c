/** The pairing process of the gateway beside this file. */
import { runPairingChild } from "@quaymesh/gateway/pairing-child";
import { createQuicTransport } from "@quaymesh/transport-quic";

await runPairingChild(createQuicTransport());
