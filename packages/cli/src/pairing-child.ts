/** The pairing endpoint's process: the gateway starts this module while a pairing window is open. */
import { runPairingChild } from "@quaymesh/gateway/pairing-child";
import { openTransport } from "./quic.ts";

const [datagramBytes] = process.argv.slice(2).map(Number);
await runPairingChild(await openTransport({ datagramBytes }));
