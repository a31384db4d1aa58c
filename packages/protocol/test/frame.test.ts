import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, frame, FrameDecoder, MAX_FRAME_BYTES, ProtocolError } from "@quaymesh/protocol";
import { fromHex, readVectors, toHex } from "./vectors.ts";

interface FrameVectors {
  readonly streams: readonly {
    readonly name: string;
    readonly hex: string;
    readonly max: number;
    readonly bodies: readonly string[];
    readonly error?: string;
  }[];
}

const { streams } = readVectors("frames.json") as FrameVectors;

/** What a decoder makes of chunks: bodies in hex, and the code it failed with. */
function decode(chunks: readonly Uint8Array[], maxFrameBytes = MAX_FRAME_BYTES) {
  const decoder = new FrameDecoder({ maxFrameBytes });
  const bodies: string[] = [];
  try {
    for (const chunk of chunks) for (const body of decoder.push(chunk)) bodies.push(toHex(body));
    decoder.end();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { bodies, error: error.code };
  }
  return { bodies, error: undefined };
}

/** `bytes` cut at `cuts`. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.slice(at[index], end));
}

describe("frame decoder", () => {
  it.each(streams)("$name", ({ hex, max, bodies, error }) => {
    const bytes = fromHex(hex);
    const expected = { bodies: [...bodies], error };
    expect(decode([bytes], max)).toEqual(expected);
    expect(
      decode(
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
        max,
      ),
    ).toEqual(expected);
    for (let cut = 0; cut <= bytes.length; cut++) expect(decode(split(bytes, [cut]), max)).toEqual(expected);
  });

  it("any split of any bytes gives the same frames and the same error", () => {
    const wire = fc.oneof(
      fc
        .array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 })
        .map((bodies) => Buffer.concat(bodies.map(frame))),
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.constantFrom(0, 0, 0, 1, 2, 5, 255), { maxLength: 64 }).map((bytes) => Uint8Array.from(bytes)),
    );
    fc.assert(
      fc.property(wire, fc.array(fc.nat(), { maxLength: 40 }), (bytes, cuts) => {
        expect(decode(split(bytes, cuts), 256)).toEqual(decode([bytes], 256));
      }),
      { numRuns: 2000 },
    );
  });

  it("frames come back as they were sent", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 }), { maxLength: 8 }),
        fc.array(fc.nat()),
        (bodies, cuts) => {
          const decoded = decode(split(Buffer.concat(bodies.map(frame)), cuts));
          expect(decoded).toEqual({ bodies: bodies.map(toHex), error: undefined });
        },
      ),
    );
  });

  it("a frame within one chunk is a view of it", () => {
    const chunk = fromHex("0000000201020000000103");
    const [first, second] = new FrameDecoder().push(chunk);
    expect(first?.buffer).toBe(chunk.buffer);
    expect(second?.byteOffset).toBe(10);
  });

  it("a header reserves no memory: what is held grows with what arrives", () => {
    const decoders = Array.from({ length: 2000 }, () => new FrameDecoder());
    const before = process.memoryUsage().arrayBuffers;
    for (const decoder of decoders) decoder.push(fromHex("0008000001"));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(decoders.length * 16_384);
    expect(decoders).toHaveLength(2000);
  });

  it("stays failed", () => {
    const decoder = new FrameDecoder({ maxFrameBytes: 4 });
    expect(decoder.push(fromHex("00000001f6000000ff"))).toHaveLength(1);
    for (let call = 0; call < 3; call++) {
      expect(() => decoder.push(fromHex("00000001f6"))).toThrow(expect.objectContaining({ code: "FRAME_TOO_LARGE" }));
    }
    expect(() => decoder.end()).toThrow(expect.objectContaining({ code: "FRAME_TOO_LARGE" }));
  });
});

describe("frame encoder", () => {
  it("writes the length in front of the body", () => {
    expect(toHex(encodeFrame(null))).toBe("00000001f6");
    expect(toHex(encodeFrame({ a: [1, "b"] }))).toBe("00000007a1616182016162");
    expect(toHex(frame(fromHex("820102")))).toBe("00000003820102");
  });

  it("refuses bodies that no peer would take", () => {
    const unencodable = expect.objectContaining({ code: "VALUE_UNENCODABLE" });
    expect(frame(new Uint8Array(MAX_FRAME_BYTES))).toHaveLength(MAX_FRAME_BYTES + 4);
    expect(() => frame(new Uint8Array(MAX_FRAME_BYTES + 1))).toThrow(unencodable);
    expect(() => frame(new Uint8Array(0))).toThrow(unencodable);
    expect(() => encodeFrame(new Uint8Array(MAX_FRAME_BYTES))).toThrow(unencodable);
  });
});
