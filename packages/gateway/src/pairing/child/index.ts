/** All of the gateway that the pairing endpoint's process loads: it speaks to strangers, so what is not in it cannot be turned against the gateway. */
export { runPairingChild } from "./run-child.ts";
