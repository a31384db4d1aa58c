import { array, assert, double, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { growthOf, type Point } from "../src/churn/trend.ts";

const points = (values: readonly number[]): Point[] =>
  values.map((value, index) => ({ operations: (index + 1) * 100, value }));

describe("growth", () => {
  it("is none where the second half is flat, however the first half grew", () => {
    expect(growthOf(points([10, 500, 900, 990, 1000, 1000, 1000, 1000]))).toBe(0);
  });

  it("finds a leak, and its size for each operation", () => {
    assert(
      property(double({ min: -50, max: 50, noNaN: true }), integer({ min: 4, max: 40 }), (leak, count) => {
        const leaking = points(Array.from({ length: count }, (_, index) => 7000 + leak * 100 * index));
        expect(growthOf(leaking)).toBeCloseTo(leak, 6);
      }),
    );
  });

  it("is not moved by one sample that is out of line", () => {
    assert(
      property(integer({ min: 10, max: 19 }), double({ min: 1e6, max: 1e9, noNaN: true }), (where, height) => {
        const flat = Array.from({ length: 20 }, () => 1000);
        flat[where] = height;
        expect(growthOf(points(flat))).toBe(0);
      }),
    );
  });

  it("says nothing of fewer than four points", () => {
    assert(property(array(double({ noNaN: true }), { maxLength: 3 }), (few) => Number.isNaN(growthOf(points(few)))));
  });
});
