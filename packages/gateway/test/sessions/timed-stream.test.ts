import { encodeFrame, type ByteStream } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FIRST_FRAME_MS, FRAME_PROGRESS_MS, TimedStream } from "../../src/sessions/timed-stream.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A stream that gives out `chunks`, then ends or `hangs`, and notes whether it was reset. */
function scripted(chunks: readonly Uint8Array[], hangs = false) {
  const left = [...chunks];
  const stream = {
    id: 0,
    resets: 0,
    read: () => {
      const chunk = left.shift();
      if (chunk === undefined && hangs) return new Promise<null>(() => {});
      return Promise.resolve(chunk ?? null);
    },
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
      const inner = scripted(chunks, true);
      const late: string[] = [];
      const timed = new TimedStream(inner, clock, (what) => void late.push(what));
      for (let index = 0; index < chunks.length; index++) await timed.read();
      void timed.read();
      clock.advance((bodies.length === 1 ? FIRST_FRAME_MS : FRAME_PROGRESS_MS) - 1);
      expect(inner.resets).toBe(0);
      clock.advance(1);
      expect(inner.resets).toBe(1);
      expect(late).toEqual([bodies.length === 1 ? "first-frame" : "frame-progress"]);
    }),
  );
});

test("a peer that says nothing at all is cut when its first frame is due", async () => {
  const clock = new FakeClock();
  const inner = scripted([], true);
  const timed = new TimedStream(inner, clock);
  void timed.read();
  clock.advance(FIRST_FRAME_MS - 1);
  expect(inner.resets).toBe(0);
  clock.advance(1);
  expect(inner.resets).toBe(1);
  expect(timed.isLate).toBe(true);
});

test("a frame that comes byte by byte gets no more time than one that comes at once", async () => {
  const clock = new FakeClock();
  const first = encodeFrame({ a: 1 });
  const second = encodeFrame({ b: new Uint8Array(100) });
  const drops = Array.from({ length: 20 }, (_, index) => second.subarray(index, index + 1));
  const inner = scripted([first, ...drops], true);
  const timed = new TimedStream(inner, clock);
  await timed.read();
  clock.advance(1_000_000);
  await timed.read();
  for (let index = 1; index < drops.length && inner.resets === 0; index++) {
    const reading = timed.read();
    clock.advance(FRAME_PROGRESS_MS / 10);
    await reading;
  }
  expect(inner.resets).toBe(1);
});

test("a peer is not late because nobody reads what it sent", async () => {
  const clock = new FakeClock();
  const frame = encodeFrame({ a: new Uint8Array(40) });
  const inner = scripted([frame.subarray(0, 10), frame.subarray(10)], true);
  const timed = new TimedStream(inner, clock);
  await timed.read();
  clock.advance(1_000_000);
  expect(await timed.read()).toHaveLength(frame.length - 10);
  clock.advance(1_000_000);
  expect(inner.resets).toBe(0);
});
