/** The pairing endpoint's process: the gateway starts this module while a pairing window is open. */
import { runPairingChild } from "@quaymesh/gateway/pairing-child";
import { openTransport } from "./quic.ts";

const [datagramBytes] = process.argv.slice(2).map(Number);
// It speaks to strangers and has little to say: the calls that make bulk fast are not worth having their library here.
await runPairingChild(await openTransport({ datagramBytes, systemCalls: "plain" }));
