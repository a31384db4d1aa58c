import { formatCursor, parseCursor, ProtocolError } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const log = fc.string({ unit: "binary", minLength: 1, maxLength: 64 }).filter((text) => text.length <= 64);
const offset = fc.maxSafeNat();

test("a cursor reads back as it was, whatever its log is called", () => {
  fc.assert(
    fc.property(fc.record({ log, offset }), (cursor) => {
      expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
    }),
  );
});

test("what is read as a cursor is written the same again: a place has one spelling", () => {
  const nearly = fc.oneof(
    fc.string(),
    fc.tuple(fc.string(), fc.stringMatching(/^[0-9+. -]{0,20}$/u)).map(([left, right]) => `${left}:${right}`),
  );
  fc.assert(
    fc.property(nearly, (text) => {
      try {
        expect(formatCursor(parseCursor(text))).toBe(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }),
  );
});

test.each([
  "",
  ":1",
  "log",
  "log:",
  "log:01",
  "log:-1",
  "log:1.0",
  "log:1e3",
  "log: 1",
  "log:9007199254740992",
  `${"x".repeat(65)}:1`,
])("%j is no cursor", (text) => expect(() => parseCursor(text)).toThrow(ProtocolError));

test.each([
  { log: "", offset: 1 },
  { log: "a", offset: -1 },
  { log: "a", offset: 1.5 },
  { log: "a", offset: 2 ** 53 },
])("%j is no place in a log", (cursor) => expect(() => formatCursor(cursor)).toThrow(ProtocolError));
