import * as fc from "fast-check";
import { createCsr, KeyPair } from "@quaymesh/identity";
import { expect, test } from "vitest";
import { isDer } from "../src/keys/der.ts";
import { hex } from "./vectors.ts";

test.each([
  ["0500", "NULL"],
  ["3000", "an empty sequence"],
  ["30060201010201ff", "two integers"],
  [`048180${"00".repeat(128)}`, "128 bytes"],
  [`04820100${"00".repeat(256)}`, "256 bytes"],
])("%s is DER: %s", (text) => {
  expect(isDer(hex(text))).toBe(true);
});

test.each([
  ["", "nothing"],
  ["05", "no length"],
  ["050000", "something after it"],
  ["0501", "a value that is cut"],
  ["058100", "a length longer than needed"],
  [`0482007f${"00".repeat(127)}`, "a length longer than needed"],
  ["30800000", "an indefinite length"],
  ["30030201", "a value past its sequence"],
  ["3003020201", "a value past its sequence"],
  ["1f0100", "a tag number in many bytes"],
  ["0484000000010", "a length of four bytes"],
  ["30".repeat(20), "no end"],
])("%s is not DER: %s", (text) => {
  expect(isDer(hex(text))).toBe(false);
});

test("nesting deeper than anything real is refused", () => {
  let value = hex("0500");
  for (let depth = 0; depth < 20; depth++) value = Uint8Array.of(0x30, value.length, ...value);
  expect(isDer(value)).toBe(false);
});

test("random bytes never throw, and a request is DER exactly when whole", async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => typeof isDer(bytes) === "boolean"));
  const csr = await createCsr(await KeyPair.generate());
  expect(isDer(csr)).toBe(true);
  for (let at = 0; at < csr.length; at++) expect(isDer(csr.subarray(0, at))).toBe(false);
});
