import { median } from "../stats.ts";

/** A figure after so many operations. */
export interface Point {
  readonly operations: number;
  readonly value: number;
}

/**
 * How much the value grows with each operation over the second half of `points`: the median of the slopes between any two of them (Theil and Sen), which one
 * collection more or less does not move. NaN for fewer than four points.
 */
export function growthOf(points: readonly Point[]): number {
  const half = points.slice(Math.floor(points.length / 2));
  const slopes = half.flatMap((from, index) =>
    half.slice(index + 1).map((to) => (to.value - from.value) / (to.operations - from.operations)),
  );
  return half.length < 2 || points.length < 4 ? Number.NaN : median(slopes);
}
