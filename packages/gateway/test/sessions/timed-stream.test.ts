import { encodeFrame, type ByteStream } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FIRST_FRAME_MS, FRAME_PROGRESS_MS, TimedStream } from "../../src/sessions/timed-stream.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A stream that gives out `chunks`, and notes whether it was reset. */
function scripted(chunks: readonly Uint8Array[]) {
  const left = [...chunks];
  const stream = {
    id: 0,
    resets: 0,
    read: () => Promise.resolve(left.shift() ?? null),
    write: () => undefined,
    end: () => undefined,
    reset: () => {
      stream.resets += 1;
    },
    async *[Symbol.asyncIterator]() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return stream satisfies ByteStream & { resets: number };
}

function cut(bytes: Uint8Array, points: readonly number[]): Uint8Array[] {
  const at = [...new Set(points.map((point) => point % bytes.length))].toSorted((a, b) => a - b);
  return [...at, bytes.length]
    .map((end, index) => bytes.subarray(at[index - 1] ?? 0, end))
    .filter((part) => part.length > 0);
}

const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 5 });

test("however the bytes are cut, a stream that keeps time is left alone, and may be silent between frames", async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat()), async (bodies, points) => {
      const clock = new FakeClock();
      const whole = Buffer.concat(bodies.map((body) => encodeFrame(body)));
      const inner = scripted(cut(whole, points));
      const timed = new TimedStream(inner, clock);
      for (let chunk = await timed.read(); chunk !== null; chunk = await timed.read()) clock.advance(10);
      clock.advance(1_000_000);
      expect(inner.resets).toBe(0);
    }),
  );
});

test("however the bytes are cut, a stream that stops inside a frame is reset in time", async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat()), fc.nat(), async (bodies, points, missing) => {
      const clock = new FakeClock();
      const whole = Buffer.concat(bodies.map((body) => encodeFrame(body)));
      const lastBytes = encodeFrame(bodies.at(-1) ?? new Uint8Array()).length;
      const short = whole.subarray(0, whole.length - 1 - (missing % (lastBytes - 1)));
      const chunks = cut(short, points);
      const inner = scripted(chunks);
      const timed = new TimedStream(inner, clock);
      for (let index = 0; index < chunks.length; index++) await timed.read();
      clock.advance(Math.max(FIRST_FRAME_MS, FRAME_PROGRESS_MS));
      expect(inner.resets).toBe(1);
    }),
  );
});
