import type { RowSpec } from "../suite.ts";

/** What of identity is timed. */
const WORKS = ["revoke", "revoke-core", "refused", "pair"] as const;

/** One of the rows. */
export type IdentityWork = (typeof WORKS)[number];

/** Rows and bounds. The peers of identity are people: nobody else's figure to divide by. */
export const ROWS: readonly (RowSpec & { readonly work: IdentityWork })[] = [
  {
    work: "revoke",
    unit: "ms p99",
    better: "lower",
    about: "revoke asked to connection closed at the device; N others live",
    goals: {},
    bound: 10,
  },
  {
    work: "revoke-core",
    unit: "ms p99",
    better: "lower",
    about: "the same in one process, without QUIC",
    goals: {},
    bound: 10,
  },
  {
    work: "refused",
    unit: "ms p50",
    better: "lower",
    about: "a revoked device's redial to its refusal; N others live",
    goals: {},
  },
  {
    work: "pair",
    unit: "ms p50",
    better: "lower",
    about: "code shown to node online, approved at once",
    goals: {},
    bound: 1000,
  },
];

/** Parse a row's name. @throws {RangeError} */
export function identityWorkOf(name: string): IdentityWork {
  const work = WORKS.find((one) => one === name);
  if (work === undefined) throw new RangeError(`no such row: ${name}`);
  return work;
}
