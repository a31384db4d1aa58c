/** Sets of whole numbers as sorted, disjoint, half-open ranges: `[from, to, from, to, ...]`. */
export type Ranges = readonly number[];

/** What is in both. */
export function intersect(a: Ranges, b: Ranges): Ranges {
  const out: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const from = Math.max(at(a, i), at(b, j));
    const to = Math.min(at(a, i + 1), at(b, j + 1));
    if (from < to) out.push(from, to);
    if (at(a, i + 1) < at(b, j + 1)) i += 2;
    else j += 2;
  }
  return out;
}

/** What is in `a` and not in `b`. */
export function subtract(a: Ranges, b: Ranges): Ranges {
  return intersect(a, [-Infinity, ...b, Infinity]);
}

/** How many numbers are in it. */
export function sizeOf(ranges: Ranges): number {
  let size = 0;
  for (let index = 0; index < ranges.length; index += 2) size += at(ranges, index + 1) - at(ranges, index);
  return size;
}

const at = (ranges: Ranges, index: number): number => ranges[index] ?? Infinity;
