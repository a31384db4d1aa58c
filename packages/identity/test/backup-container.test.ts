import * as fc from "fast-check";
import {
  deriveSealingKey,
  IdentityError,
  newPassphraseParameters,
  openStream,
  sealingKey,
  sealStream,
  Secret,
  type SealedWith,
  type SealingKey,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { expectCode } from "./support.ts";

const KEY = sealingKey(new Uint8Array(32).fill(7));
const HEADER_BYTES = 94;
const CHUNK_BYTES = 65_536 + 16;

async function* pieces(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += Math.max(1, size)) yield bytes.subarray(at, at + Math.max(1, size));
}

async function joined(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of stream) all.push(Uint8Array.from(piece));
  return new Uint8Array(Buffer.concat(all));
}

const sealed = async (bytes: Uint8Array, with_: SealedWith = { key: KEY }): Promise<Uint8Array> =>
  await joined(sealStream(pieces(bytes, 10_000), with_));
const opened = async (bytes: Uint8Array, key: SealingKey = KEY, size?: number): Promise<Uint8Array> =>
  await joined(openStream(pieces(bytes, size), () => Promise.resolve(key)));

/** Recognisable bytes: no two chunks are alike. */
const plain = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);

describe("a sealed stream", () => {
  test("gives back what went in, whatever its length and however its bytes arrive", async () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 3000 }),
      fc.constantFrom(65_535, 65_536, 65_537, 131_071, 131_072, 131_073),
    );
    await fc.assert(
      fc.asyncProperty(length, fc.integer({ min: 1, max: 70_000 }), async (bytes, size) => {
        const whole = plain(bytes);
        expect(Buffer.compare(await opened(await sealed(whole), KEY, Math.max(size, bytes / 500)), whole)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("with any bit flipped it is refused, and never opens to something else", async () => {
    const whole = await sealed(plain(66_000));
    // Every bit of the header, and some everywhere: the tags among them.
    const bits = fc.oneof(
      fc.integer({ min: 0, max: HEADER_BYTES * 8 - 1 }),
      fc.integer({ min: 0, max: whole.length * 8 - 1 }),
      fc.integer({ min: (whole.length - 16) * 8, max: whole.length * 8 - 1 }),
    );
    await fc.assert(
      fc.asyncProperty(bits, async (bit) => {
        const changed = Uint8Array.from(whole);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await refused(changed);
      }),
      { numRuns: 300 },
    );
    for (let bit = 0; bit < HEADER_BYTES * 8; bit += 1) {
      const changed = Uint8Array.from(whole);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await refused(changed);
    }
  });

  test("cut off anywhere, or with anything behind it, it is refused", async () => {
    const whole = await sealed(plain(131_072));
    const cuts = [
      0,
      1,
      HEADER_BYTES - 1,
      HEADER_BYTES,
      HEADER_BYTES + CHUNK_BYTES,
      whole.length - 1,
      whole.length - 17,
    ];
    for (const length of cuts) await refused(whole.subarray(0, length));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async (length) => {
        await refused(whole.subarray(0, length));
      }),
      { numRuns: 60 },
    );
    await refused(new Uint8Array(Buffer.concat([whole, Uint8Array.of(0)])));
    await refused(new Uint8Array(Buffer.concat([whole, whole.subarray(HEADER_BYTES)])));
  });

  test("with chunks swapped, repeated, left out or taken from another file of the same key, it is refused", async () => {
    const cut = (bytes: Uint8Array): readonly Uint8Array[] => {
      const chunks: Uint8Array[] = [];
      for (let at = HEADER_BYTES; at < bytes.length; at += CHUNK_BYTES)
        chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
      return chunks;
    };
    const [one, other] = [await sealed(plain(200_000)), await sealed(plain(200_000))];
    const [header, otherHeader] = [one.subarray(0, HEADER_BYTES), other.subarray(0, HEADER_BYTES)];
    const [a, b, c, d] = cut(one);
    const [, e] = cut(other);
    if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined)
      throw new Error("?");
    const assembled = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
    expect((await opened(assembled(header, a, b, c, d))).length).toBe(200_000);
    for (const parts of [
      [b, a, c, d],
      [a, b, b, c, d],
      [a, c, d],
      [a, b, c],
      [d],
      [a, b, c, d, d],
      [a, e, c, d],
      [b, c, d],
    ]) {
      await refused(assembled(header, ...parts));
    }
    await refused(assembled(otherHeader, a, b, c, d));
  });

  test("another key is told from damage", async () => {
    const whole = await sealed(plain(10));
    await expectCode("BACKUP_KEY_WRONG", () => opened(whole, sealingKey(new Uint8Array(32).fill(8))));
  });

  test("a passphrase opens it with the costs its header says", async () => {
    const parameters = newPassphraseParameters({ memoryKib: 64, passes: 1, lanes: 1 });
    const key = await deriveSealingKey(new Secret("a dozen words"), parameters);
    const whole = await sealed(plain(100), { key, parameters });
    const plaintext = await joined(
      openStream(pieces(whole), async (sealing) => {
        if (sealing.kind !== "passphrase") throw new Error("no passphrase was asked for");
        expect(sealing.parameters).toEqual(parameters);
        return await deriveSealingKey(new Secret("a dozen words"), sealing.parameters);
      }),
    );
    expect(plaintext).toEqual(plain(100));
    const wrong = openStream(pieces(whole), () => deriveSealingKey(new Secret("a dozen worlds"), parameters));
    await expectCode("BACKUP_KEY_WRONG", () => joined(wrong));
  });

  test("nothing is asked for a header that is not whole, is of another format, or asks for too much", async () => {
    const parameters = newPassphraseParameters({ memoryKib: 64, passes: 1, lanes: 1 });
    const key = await deriveSealingKey(new Secret("a dozen words"), parameters);
    const whole = await sealed(plain(1), { key, parameters });
    const { createHash } = await import("node:crypto");
    const forged = (change: (view: DataView) => void): Uint8Array => {
      const copy = Uint8Array.from(whole);
      change(new DataView(copy.buffer));
      copy.set(createHash("sha256").update(copy.subarray(0, 90)).digest().subarray(0, 4), 90);
      return copy;
    };
    const asked: string[] = [];
    const open = (bytes: Uint8Array): Promise<Uint8Array> =>
      joined(
        openStream(pieces(bytes), ({ kind }) => {
          asked.push(kind);
          return Promise.resolve(key);
        }),
      );
    await expectCode("BACKUP_DAMAGED", () => open(forged((view) => view.setUint32(46, 4_000_000))));
    await expectCode("BACKUP_DAMAGED", () => open(forged((view) => view.setUint32(50, 1000))));
    await expectCode("BACKUP_VERSION", () => open(forged((view) => view.setUint8(4, 2))));
    await expectCode("BACKUP_VERSION", () => open(forged((view) => view.setUint8(5, 3))));
    await expectCode("BACKUP_DAMAGED", () => open(new TextEncoder().encode("a text file of some length")));
    expect(asked).toEqual([]);
  });
});

async function refused(bytes: Uint8Array): Promise<void> {
  const error = await opened(bytes).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(IdentityError);
}
