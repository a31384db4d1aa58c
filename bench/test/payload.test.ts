import { FrameDecoder } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import {
  ANSWER,
  REQUEST,
  checkAnswer,
  decode,
  decodeCount,
  encodeCount,
  encodeEvent,
  framed,
} from "../src/transport/payload.ts";

describe("what crosses the wire", () => {
  it("is as large as docs/bench.md says", () => {
    expect(REQUEST).toHaveLength(200);
    expect(ANSWER).toHaveLength(200);
    for (const seq of [0, 99, 123_456, 2_000_000]) {
      expect(encodeEvent(seq).length).toBeGreaterThanOrEqual(195);
      expect(encodeEvent(seq).length).toBeLessThanOrEqual(205);
    }
  });

  it("is readable by the product's own frame decoder", () => {
    const frames = new FrameDecoder().push(Buffer.concat([framed(encodeEvent(7)), framed(encodeEvent(8))]));
    expect(frames.map((body) => decode(body))).toMatchObject([{ seq: 7 }, { seq: 8 }]);
  });

  it("is checked when it comes back", () => {
    expect(() => checkAnswer(ANSWER)).not.toThrow();
    expect(() => checkAnswer(REQUEST)).toThrow(TypeError);
    expect(decodeCount(encodeCount(12))).toBe(12);
    expect(() => decodeCount(ANSWER)).toThrow(TypeError);
  });
});
