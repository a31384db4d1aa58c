import { CLOSE_CODES, type Connection } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/** How long the gateway may take to answer. docs/wire.md, "Late renewal". */
const ANSWER_MS = 20_000;

/** Until disposed: close `connection` when its answer takes too long, or when nobody needs it any more. Closing is what ends the wait. */
export function closingAfter(
  connection: Connection,
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal },
): Disposable {
  const over = new AbortController();
  const onAbort = (): void => connection.close(CLOSE_CODES.ok);
  signal?.addEventListener("abort", onAbort, { once: true });
  clock.sleep(ANSWER_MS, over.signal).then(
    () => connection.close(CLOSE_CODES.timeout, "no answer came"),
    () => {},
  );
  return {
    [Symbol.dispose]() {
      signal?.removeEventListener("abort", onAbort);
      over.abort();
    },
  };
}
