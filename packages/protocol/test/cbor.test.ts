import { Decoder, Encoder } from "cbor-x";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeCbor,
  decodeValue,
  encodeCbor,
  encodeValue,
  FRAME_LIMITS,
  ProtocolError,
  VALUE_LIMITS,
} from "@quaymesh/protocol";
import { fromHex, fromJson, readVectors, toHex } from "./vectors.ts";

interface CborVectors {
  readonly accept: readonly {
    readonly name: string;
    readonly hex: string;
    readonly value: unknown;
    readonly canonical?: boolean;
  }[];
  readonly reject: readonly { readonly name: string; readonly hex: string }[];
}

const { accept, reject } = readVectors("cbor.json") as CborVectors;
const invalid = expect.objectContaining({ name: "ProtocolError", code: "CBOR_INVALID" });
const unencodable = expect.objectContaining({ name: "ProtocolError", code: "VALUE_UNENCODABLE" });

/** Values the profile can carry, nested at most 5 deep. */
const { value: anyValue } = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, true, false, -0, 0, NaN, Infinity, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
    fc.maxSafeInteger(),
    fc.double(),
    fc.float(),
    fc.string({ unit: "binary" }),
    fc.string({ minLength: 20, maxLength: 300 }),
    fc.uint8Array(),
  ),
  value: fc.oneof(
    { maxDepth: 5, depthIdentifier: "cbor" },
    tie("leaf"),
    fc.array(tie("value"), { depthIdentifier: "cbor" }),
    fc.dictionary(
      fc.string({ maxLength: 12 }).filter((key) => !["__proto__", "constructor", "prototype"].includes(key)),
      tie("value"),
      { depthIdentifier: "cbor", noNullPrototype: true },
    ),
  ),
}));

describe("CBOR profile", () => {
  it.each(accept)("reads $name", ({ hex, value }) => {
    expect(decodeCbor(fromHex(hex))).toEqual(fromJson(value));
  });

  it.each(accept.filter(({ canonical }) => canonical !== false))("writes $name", ({ hex, value }) => {
    expect(toHex(encodeCbor(fromJson(value)))).toBe(hex);
  });

  it.each(accept.filter(({ canonical }) => canonical === false))("writes otherwise: $name", ({ hex, value }) => {
    const written = encodeCbor(fromJson(value));
    expect(toHex(written)).not.toBe(hex);
    expect(written.length).toBeLessThanOrEqual(fromHex(hex).length);
  });

  it.each(reject)("refuses $name", ({ hex }) => {
    expect(() => decodeCbor(fromHex(hex))).toThrow(invalid);
  });

  it("keeps negative zero and the sign of integers", () => {
    expect(Object.is(decodeCbor(fromHex("f98000")), -0)).toBe(true);
    expect(Object.is(decodeCbor(encodeCbor(-0)), -0)).toBe(true);
  });

  it("what is written comes back equal", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(decodeCbor(encodeCbor(value))).toEqual(value);
      }),
      { numRuns: 3000 },
    );
  });

  it("throws nothing but ProtocolError on any bytes, and what it reads it can write", () => {
    // Bytes that are mostly structure get further than noise.
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .array(
          fc.constantFrom(
            0x80,
            0x81,
            0x82,
            0xa0,
            0xa1,
            0xa2,
            0x61,
            0x62,
            0x40,
            0x41,
            0x18,
            0x19,
            0xf9,
            0xfb,
            0xf6,
            0x00,
            0x61,
          ),
          { maxLength: 60 },
        )
        .map((list) => Uint8Array.from(list)),
      fc.tuple(anyValue, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([value, at, byte]) => {
        const mutated = encodeCbor(value);
        mutated[at % mutated.length] = byte;
        return mutated;
      }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        const value = attempt(input);
        if (value !== FAILED) expect(decodeCbor(encodeCbor(value))).toEqual(value);
      }),
      { numRuns: 5000 },
    );
  });

  it("agrees with cbor-x on whatever it reads", () => {
    const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });
    const canonical = (value: unknown): unknown => {
      if (typeof value === "bigint") return Number(value);
      if (value instanceof Uint8Array) return { bytes: toHex(value) };
      if (Array.isArray(value)) return value.map(canonical);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, canonical(inner)]));
    };
    // The library drops a byte order mark in front of long text; vectors hold us to keeping it.
    const agreeing = accept.filter(({ name }) => name !== "a byte order mark in long text is kept");
    for (const { hex } of agreeing)
      expect(canonical(decodeCbor(fromHex(hex)))).toEqual(canonical(decoder.decode(fromHex(hex))));
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value);
        expect(canonical(decoder.decode(bytes.slice()))).toEqual(canonical(decodeCbor(bytes)));
      }),
      { numRuns: 2000 },
    );
  });

  it("reads what cbor-x writes", () => {
    const encoder = new Encoder({
      useRecords: false,
      variableMapSize: true,
      tagUint8Array: false,
      mapsAsObjects: true,
    });
    fc.assert(
      fc.property(anyValue, (value) => {
        // It writes -0 as 0.
        expect(normalZero(decodeCbor(encoder.encode(value)))).toEqual(normalZero(value));
      }),
      { numRuns: 2000 },
    );
  });

  it("a key seen before never stands in for bytes that are no text", () => {
    // Bytes whose Latin-1 reading is a key that was just read as UTF-8: they must not be taken for it, wherever it is
    // remembered.
    for (let length = 1; length <= 16; length++) {
      for (let first = 0x80; first <= 0xff; first++) {
        for (const last of [0x80, 0xc0]) {
          const raw = Uint8Array.from({ length }, (_, index) =>
            index === 0 ? first : index === length - 1 ? last : 0x80,
          );
          const key = String.fromCharCode(...raw);
          expect(Object.keys(decodeCbor(encodeCbor({ [key]: 1 })) as object)).toEqual([key]);
          const read = attempt(Uint8Array.of(0xa1, 0x60 | length, ...raw, 0x01));
          if (read !== FAILED) expect(Object.keys(read as object)).not.toContain(key);
        }
      }
    }
  });

  it("gives views of the input, plain ones even of a Buffer", () => {
    const input = Buffer.from("8244010203046161", "hex");
    const value = decodeCbor(input) as [Uint8Array, string];
    expect(Object.getPrototypeOf(value[0])).toBe(Uint8Array.prototype);
    expect(value[0].buffer).toBe(input.buffer);
  });

  it("no message makes an object with a foreign prototype", () => {
    const value = decodeCbor(fromHex("a168746f537472696e6701")) as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(value, "toString")).toBe(true);
  });
});

describe("CBOR writer", () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["undefined in an array", [1, undefined]],
    ["a hole", [1, , 2]], // eslint-disable-line no-sparse-arrays -- the hole is what is tested
    ["a bigint", 1n],
    ["a function", () => 1],
    ["a symbol", Symbol("x")],
    ["a date", new Date(0)],
    ["a map", new Map()],
    ["a set", new Set()],
    ["a class instance", new Error("x")],
    ["another typed array", new Uint16Array(2)],
    ["a data view", new DataView(new ArrayBuffer(2))],
    ["an array buffer", new ArrayBuffer(2)],
    ["a promise", Promise.resolve()],
    ["a lone surrogate", "\ud800"],
    ["a lone surrogate in long text", `${"a".repeat(50)}\udc00`],
    ["a lone surrogate in a key", { "\ud800": 1 }],
    ["constructor as a key", { constructor: 1 }],
    ["__proto__ as a key", JSON.parse('{"__proto__":1}')],
    ["a key of 65 bytes", { ["k".repeat(65)]: 1 }],
    ["a key of 65 bytes in 33 units", { [`${"é".repeat(32)}x`]: 1 }],
    ["depth 9", [[[[[[[[[]]]]]]]]]],
    ["a cycle", cycle],
    ["4097 items", Array.from({ length: 4096 }, () => 0)],
  ])("refuses %s", (_name, value) => {
    expect(() => encodeCbor(value)).toThrow(unencodable);
  });

  it("leaves out properties that are undefined", () => {
    expect(toHex(encodeCbor({ a: undefined, b: 1 }))).toBe("a1616201");
  });

  it("takes objects without a prototype", () => {
    expect(toHex(encodeCbor(Object.assign(Object.create(null), { b: 1 })))).toBe("a1616201");
  });

  it("a refused value leaves nothing behind for the next", () => {
    expect(() => encodeCbor({ a: "some text", b: [1, 2, undefined] })).toThrow(unencodable);
    expect(toHex(encodeCbor({ b: 1 }))).toBe("a1616201");
  });

  it("a getter may encode while it is read", () => {
    const value = {
      a: 1,
      get b() {
        return encodeCbor({ inner: "x".repeat(40_000) });
      },
      c: "end",
    };
    const decoded = decodeCbor(encodeCbor(value)) as { b: Uint8Array; c: string };
    expect(decoded.c).toBe("end");
    expect(decodeCbor(decoded.b)).toEqual({ inner: "x".repeat(40_000) });
  });

  it("refuses an object whose getters change their mind, instead of writing a broken map", () => {
    let reads = 0;
    const value = {
      get a() {
        return reads++ === 0 ? 1 : undefined;
      },
    };
    expect(() => encodeCbor(value)).toThrow(unencodable);
  });

  it("what it gives out is its own: later values do not show through", () => {
    // Enough small and large ones to fill several of the blocks they are cut from.
    const values = Array.from({ length: 500 }, (_, at) => ({ at, text: "x".repeat((at * 37) % 1500) }));
    const encoded = values.map((value) => encodeCbor(value));
    expect(encoded.map((bytes) => decodeCbor(bytes))).toEqual(values);
  });
});

describe("application values", () => {
  it("may be deeper and larger than frames", () => {
    let deep: unknown = 1;
    for (let level = 0; level < VALUE_LIMITS.maxDepth; level++) deep = [deep];
    expect(decodeValue(encodeValue(deep))).toEqual(deep);
    expect(() => encodeValue([deep])).toThrow(unencodable);
    expect(() => decodeCbor(encodeValue(deep), FRAME_LIMITS)).toThrow(invalid);
    const large = Array.from({ length: 200_000 }, (_, index) => index);
    expect(decodeValue(encodeValue(large))).toEqual(large);
  });

  it("a million items and one are too many", () => {
    const bytes = new Uint8Array(1_000_005);
    bytes.set(fromHex("9a000f4240"));
    expect(() => decodeValue(bytes)).toThrow(invalid);
    expect(decodeValue(Buffer.concat([fromHex("9a000f423f"), bytes.subarray(6)]))).toHaveLength(999_999);
  });
});

const FAILED = Symbol("failed");

function attempt(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toEqual(invalid);
    return FAILED;
  }
}

function normalZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(normalZero);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normalZero(inner)]));
}
