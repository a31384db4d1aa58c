import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeValue, encodeValue, isValue, ProtocolError } from "@quaymesh/protocol";
import { fromHex, readVectors } from "./vectors.ts";

const { accept, reject } = readVectors("cbor.json") as {
  readonly accept: readonly { readonly name: string; readonly hex: string }[];
  readonly reject: readonly { readonly name: string; readonly hex: string }[];
};

function decodes(bytes: Uint8Array): boolean {
  try {
    decodeValue(bytes);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

const key = fc.string({ unit: "binary", maxLength: 6 }).filter((text) => text !== "__proto__");
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.constantFrom(null, true, false),
      fc.double(),
      fc.maxSafeInteger(),
      fc.string({ unit: "binary" }),
      fc.uint8Array(),
    ),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

describe("scanning a value", () => {
  it.each([...accept, ...reject])("says of $name what reading it says", ({ hex }) => {
    expect(isValue(fromHex(hex))).toBe(decodes(fromHex(hex)));
  });

  it("takes what the encoder writes, and what is changed in it where reading does", () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.uint8Array({ maxLength: 3 }), (value, at, patch) => {
        const bytes = encodeValue(value);
        expect(isValue(bytes)).toBe(true);
        const changed = Uint8Array.from(bytes);
        changed.set(patch.subarray(0, bytes.length - (at % bytes.length)), at % bytes.length);
        expect(isValue(changed)).toBe(decodes(changed));
        const cut = bytes.subarray(0, at % bytes.length);
        expect(isValue(cut)).toBe(decodes(cut));
      }),
      { numRuns: 3000 },
    );
  });

  it("takes bytes of any kind where reading does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        expect(isValue(bytes)).toBe(decodes(bytes));
      }),
      { numRuns: 5000 },
    );
  });

  it("stops at the limits of a value", () => {
    const nested = (depth: number) => new Uint8Array([...Array.from({ length: depth }, () => 0x81), 0xf6]);
    expect([isValue(nested(32)), isValue(nested(33))]).toEqual([true, false]);
    const many = new Uint8Array(1_000_005).fill(0xf6);
    many.set([0x9a, 0x00, 0x0f, 0x42, 0x40]);
    expect(isValue(many)).toBe(decodes(many));
    expect(isValue(new Uint8Array())).toBe(false);
  });
});
