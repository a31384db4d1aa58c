import { MessageStream } from "@quaymesh/protocol";
import type { Random } from "../../simulation/random.ts";
import { replaceMethod } from "./replace.ts";

/** From now on, say some batches twice. */
export function stutter(random: Random, share: number): void {
  replaceMethod(MessageStream.prototype, "send", (send) => {
    return function (this: MessageStream, message) {
      const first = send.call(this, message);
      const isBatch = "type" in message && (message.type === "batch" || message.type === "batch.packed");
      if (!isBatch || !random.chance(share)) return first;
      return Promise.resolve(first).then(() => send.call(this, message));
    };
  });
}
