import { array, assert, double, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { median, quantile, range, significant } from "../src/stats.ts";

const figures = array(double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 50 });

describe("statistics", () => {
  it("take the middle value, or the mean of the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 100])).toBe(3.5);
    expect(median([])).toBeNaN();
  });

  it("take quantiles by nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(quantile(hundred, 0.5)).toBe(50);
    expect(quantile(hundred, 0.99)).toBe(99);
    expect(quantile([1, 2, 3], 0.5)).toBe(2);
    expect(quantile([7], 0.99)).toBe(7);
    expect(quantile([7, 8], 0)).toBe(7);
  });

  it("stay within the range, whatever the order of the values", () => {
    assert(
      property(figures, double({ min: 0, max: 1, noNaN: true }), (values, fraction) => {
        const [lowest, highest] = range(values);
        const found = quantile(values, fraction);
        expect(values).toContain(found);
        expect(quantile(values.toReversed(), fraction)).toBe(found);
        expect(lowest <= found && found <= highest).toBe(true);
      }),
    );
  });

  it("round to significant digits, not to decimals", () => {
    expect(significant(123_456.7)).toBe(123_500);
    expect(significant(0.123_456)).toBe(0.1235);
    expect(significant(Number.NaN)).toBeNaN();
  });
});
