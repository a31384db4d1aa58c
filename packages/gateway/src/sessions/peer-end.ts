import { CLOSE_CODES, TransportError, type MessageStream } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/** How long a peer may take to end its side after we ended ours. */
export const PEER_END_MS = 5000;

/** Our side has ended: wait for the peer's end rather than reset what it has yet to read. Whatever it still sends is dropped. */
export async function awaitPeerEnd(messages: MessageStream, clock: Clock): Promise<void> {
  const cancel = clock.after(PEER_END_MS, () => messages.reset(CLOSE_CODES.timeout));
  try {
    await messages.discard();
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
  } finally {
    cancel();
  }
}
