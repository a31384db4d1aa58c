import { isValid, monotonicFactory } from "ulid";

const next = monotonicFactory();

/** A new ULID, above every other this process has made. @param now Unix milliseconds */
export function newId(now: number): string {
  return next(now);
}

/** Whether `text` is a whole ULID, in either case. */
export function isULID(text: string): boolean {
  return isValid(text.toUpperCase());
}
