import type { Clock } from "../clock.ts";

const CHECK_MS = 2000;
/** Wall time that passed beyond monotonic time; more than any correction of a clock in daily life. */
const JUMP_MS = 10_000;

/**
 * Call `onWake` after the machine slept: wall time went on, monotonic time did not, or the timer came far too late. Runs until `signal` aborts. Connections are
 * dead then and their timeouts have yet to run; waiting for those is what makes other agents slow to return.
 */
export async function watchForWake(
  clock: Clock,
  onWake: (sleptMs: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let wall = clock.now();
  let steady = clock.monotonic();
  for (;;) {
    try {
      await clock.sleep(CHECK_MS, signal);
    } catch {
      return;
    }
    const wallPassed = clock.now() - wall;
    const steadyPassed = clock.monotonic() - steady;
    // Where the monotonic clock counts sleep, only the late timer tells.
    const sleptMs = Math.max(wallPassed - steadyPassed, steadyPassed - CHECK_MS);
    if (sleptMs >= JUMP_MS) onWake(sleptMs);
    wall = clock.now();
    steady = clock.monotonic();
  }
}
