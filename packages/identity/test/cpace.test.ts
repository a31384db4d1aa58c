import * as fc from "fast-check";
import { sha512 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import {
  calculateGenerator,
  generatorString,
  intermediateKey,
  publicShare,
  secretPoint,
  transcriptIr,
} from "../src/cpace/cpace.ts";
import { leb128, lvCat, prependLength } from "../src/cpace/encoding.ts";
import { hex, readVectors } from "./vectors.ts";

interface CpaceVectors {
  generator: Record<"prs" | "ci" | "sid" | "generatorString" | "generatorStringSha512" | "generator", string>;
  run: Record<"adA" | "ya" | "shareA" | "adB" | "yb" | "shareB" | "secretPoint" | "transcriptIr" | "isk", string>;
  scalarMult: { s: string; x: string; product: string; invalid: string[] };
}

const vectors = readVectors("cpace") as CpaceVectors;
const inputs = { prs: hex(vectors.generator.prs), ci: hex(vectors.generator.ci), sid: hex(vectors.generator.sid) };
const toHex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

describe("the draft's vectors", () => {
  test("B.3.1: the generator string, its hash and the generator", () => {
    expect(toHex(generatorString(inputs))).toBe(vectors.generator.generatorString);
    expect(toHex(sha512(generatorString(inputs)))).toBe(vectors.generator.generatorStringSha512);
    expect(toHex(calculateGenerator(inputs))).toBe(vectors.generator.generator);
  });

  test("B.3.2 to B.3.5: shares, secret point, transcript and session key of both sides", () => {
    const { run } = vectors;
    expect(toHex(publicShare(inputs, hex(run.ya)))).toBe(run.shareA);
    expect(toHex(publicShare(inputs, hex(run.yb)))).toBe(run.shareB);
    expect(toHex(secretPoint(hex(run.ya), hex(run.shareB)))).toBe(run.secretPoint);
    expect(toHex(secretPoint(hex(run.yb), hex(run.shareA)))).toBe(run.secretPoint);
    const a = { share: hex(run.shareA), ad: hex(run.adA) };
    const b = { share: hex(run.shareB), ad: hex(run.adB) };
    expect(toHex(transcriptIr(a, b))).toBe(run.transcriptIr);
    expect(toHex(intermediateKey(inputs.sid, hex(run.secretPoint), a, b))).toBe(run.isk);
  });

  test("B.3.10: scalar multiplication", () => {
    expect(toHex(secretPoint(hex(vectors.scalarMult.s), hex(vectors.scalarMult.x)))).toBe(vectors.scalarMult.product);
  });

  test.each(vectors.scalarMult.invalid)("B.3.11: the share %s aborts the run", (share) => {
    expect(secretPoint(hex(vectors.scalarMult.s), hex(share))).toBeUndefined();
  });

  test("appendix A: LEB128 and length prefixes", () => {
    expect(toHex(leb128(0))).toBe("00");
    expect(toHex(leb128(127))).toBe("7f");
    expect(toHex(leb128(128))).toBe("8001");
    expect(toHex(prependLength(hex("")))).toBe("00");
    expect(toHex(prependLength(Buffer.from("1234")))).toBe("0431323334");
    expect(toHex(lvCat(Buffer.from("1234"), Buffer.from("5"), hex(""), Buffer.from("678")))).toBe(
      "043132333401350003363738",
    );
  });
});

const random = fc.uint8Array({ minLength: 32, maxLength: 32 });
const scalar = random.filter((bytes) => bytes.slice(0, 31).some((byte) => byte !== 0));

test("both sides get the same point when, and only when, the inputs are the same", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 40 }),
      scalar,
      scalar,
      fc.nat(2),
      (prs, ci, ya, yb, other) => {
        const here = { prs, ci, sid: new Uint8Array() };
        const changed = (bytes: Uint8Array, at: number) => (other === at ? Uint8Array.of(...bytes, 1) : bytes);
        const there = { prs: changed(prs, 1), ci: changed(ci, 2), sid: new Uint8Array() };
        const a = secretPoint(ya, publicShare(there, yb));
        const b = secretPoint(yb, publicShare(here, ya));
        expect(toHex(a) === toHex(b)).toBe(other === 0);
      },
    ),
    { numRuns: 30 },
  );
});

test("a share of another length or an arbitrary string never throws", () => {
  fc.assert(
    fc.property(scalar, fc.uint8Array({ maxLength: 64 }), (y, share) => {
      const point = secretPoint(y, share);
      expect(point === undefined || point.length === 32).toBe(true);
      if (share.length !== 32) expect(point).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});
