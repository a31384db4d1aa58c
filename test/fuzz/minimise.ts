import { join } from "./bytes.ts";

/** For a finding. Tries are counted, not timed: the same seed then gives the same result. */
export const FINDING_TRIES = 400;
/** For a slow one, whose every try is slow. */
export const SLOW_TRIES = 24;
/** For an input that is kept for what it reaches: there are many, and each try needs a look at the coverage. */
export const KEPT_TRIES = 16;

/**
 * Shrink `input` as long as `holds` says that what mattered about it is still there: parts are left out, large ones first, then bytes become zeros.
 * @returns the smallest found; `input` itself where nothing can go
 */
export async function minimise(
  input: Uint8Array,
  tries: number,
  holds: (candidate: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let best = input;
  const budget = { tries };
  const attempt = async (candidate: Uint8Array): Promise<boolean> => {
    budget.tries -= 1;
    if (!(await holds(candidate))) return false;
    best = candidate;
    return true;
  };
  let size = Math.ceil(best.length / 2);
  while (size >= 1 && budget.tries > 0) {
    let at = 0;
    while (at < best.length && budget.tries > 0) {
      const isGone = await attempt(join(best.subarray(0, at), best.subarray(Math.min(best.length, at + size))));
      if (!isGone) at += size;
    }
    size = Math.floor(size / 2);
  }
  let at = 0;
  while (at < best.length && budget.tries > 0) {
    if (best[at] !== 0) await attempt(best.with(at, 0));
    at += 1;
  }
  return best;
}
