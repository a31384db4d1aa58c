import { abortable } from "./bell.ts";
import type { Clock } from "./clock.ts";

/** Wait for `work` for `ms` at most; its signal aborts then. Never rejects. */
export async function within(clock: Clock, ms: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const end = new AbortController();
  const timer = clock.sleep(ms, end.signal).then(
    () => end.abort(),
    () => {},
  );
  try {
    await abortable(work(end.signal), end.signal);
  } catch {
    // Time is up, or there is nothing left to wait for.
  }
  end.abort();
  await timer;
}
