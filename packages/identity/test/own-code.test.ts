import * as fc from "fast-check";
import { formatOwnCode, ownCodeIdOf, parseOwnCode, parseTicket, Secret } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { readVectors } from "./vectors.ts";

interface Vectors {
  readonly code: {
    readonly spkiSha256: string;
    readonly secret: string;
    readonly text: string;
    readonly codeId: string;
  };
  readonly refused: readonly { readonly what: string; readonly error: string; readonly text: string }[];
}

const { code, refused } = readVectors("own-code") as Vectors;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const anyCode = fc.record({
  spkiSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  secret: fc.uint8Array({ minLength: 16, maxLength: 16 }),
});

describe("a node's own code", () => {
  test("is written and named as the vector says", () => {
    const secret = new Secret(bytes(code.secret));
    expect(formatOwnCode({ spkiSha256: bytes(code.spkiSha256), secret })).toBe(code.text);
    expect(hex(ownCodeIdOf(secret))).toBe(code.codeId);
  });

  test.each(refused)("is refused with $error for $what", ({ error, text }) => {
    expect(() => parseOwnCode(text)).toThrow(expect.objectContaining({ code: error }));
  });

  test("is read back whatever it says, in any case, with white space anywhere, and does not print its secret", () => {
    fc.assert(
      fc.property(anyCode, fc.nat(90), fc.boolean(), ({ spkiSha256, secret }, at, lower) => {
        const text = formatOwnCode({ spkiSha256, secret: new Secret(secret) });
        const spaced = `${text.slice(0, at)} \n\t${text.slice(at)}`;
        const read = parseOwnCode(lower ? spaced.toLowerCase() : spaced);
        expect(hex(read.spkiSha256)).toBe(hex(spkiSha256));
        expect(hex(read.secret.reveal())).toBe(hex(secret));
        expect(JSON.stringify(read.secret)).toBe('"[redacted]"');
        // Alphanumeric mode, and small enough for a screen of 24 rows.
        expect(text).toMatch(/^[0-9A-Z:]{91}$/u);
      }),
    );
  });

  test("does not survive one wrong character", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 9, max: 90 }),
        fc.constantFrom(...Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
        (at, wrong) => {
          fc.pre(code.text[at] !== wrong);
          expect(() => parseOwnCode(`${code.text.slice(0, at)}${wrong}${code.text.slice(at + 1)}`)).toThrow();
        },
      ),
    );
  });

  test("of any text throws or is read, and nothing else", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 600 }), fc.boolean(), (text, prefixed) => {
        expect(() => parseOwnCode(prefixed ? `QUAYNODE:${text}` : text)).toThrow(
          expect.objectContaining({ name: "IdentityError" }),
        );
      }),
    );
  });

  test("is told from a ticket, with where it belongs", () => {
    expect(() => parseTicket(code.text, { now: 0 })).toThrow("quaymesh pair");
  });
});
