/** `FrameDecoder`: a byte stream, cut anywhere, into frame bodies. */
import { FRAME_HEADER_BYTES, FrameDecoder, MAX_FRAME_BYTES, ProtocolError } from "@quaymesh/protocol";
import { bigEndian, join, mutateBytes } from "../bytes.ts";
import { Random } from "../random.ts";
import { type PureTarget, Violation } from "../target.ts";
import { vectorBytes } from "../vectors.ts";
import { target as messages } from "./messages.ts";

const MAX_BYTES = 2 << 20;
const LENGTHS = [0, 1, 2, 4096, 4097, MAX_FRAME_BYTES - 1, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, 2 ** 31, 2 ** 32 - 1];
const CODES = new Set(["FRAME_TOO_LARGE", "FRAME_EMPTY", "FRAME_TRUNCATED"]);

interface Read {
  readonly bodies: readonly Uint8Array[];
  readonly code: string | undefined;
}

/** Read `input` in these pieces, to its end. */
function readAll(input: Uint8Array, pieces: Iterable<number>): Read {
  const decoder = new FrameDecoder();
  const bodies: Uint8Array[] = [];
  let at = 0;
  try {
    for (const bytes of pieces) {
      // A copy: what the decoder keeps must not be what the next read overwrites.
      bodies.push(...decoder.push(input.slice(at, at + bytes)));
      at += bytes;
      if (at >= input.length) break;
    }
    decoder.end();
  } catch (error) {
    if (!(error instanceof ProtocolError) || !CODES.has(error.code)) throw error;
    return { bodies, code: error.code };
  }
  return { bodies, code: undefined };
}

/** What docs/wire.md says, in the simplest way. */
function readSlowly(input: Uint8Array): Read {
  const bodies: Uint8Array[] = [];
  let at = 0;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  while (input.length - at >= FRAME_HEADER_BYTES) {
    const length = view.getUint32(at);
    if (length === 0) return { bodies, code: "FRAME_EMPTY" };
    if (length > MAX_FRAME_BYTES) return { bodies, code: "FRAME_TOO_LARGE" };
    if (length > input.length - at - FRAME_HEADER_BYTES) return { bodies, code: "FRAME_TRUNCATED" };
    at += FRAME_HEADER_BYTES;
    bodies.push(input.subarray(at, at + length));
    at += length;
  }
  return { bodies, code: at === input.length ? undefined : "FRAME_TRUNCATED" };
}

/** Cuts of all sizes; no more than some hundreds, or the cutting would cost more than what is cut. */
function* pieces(random: Random, bytes: number): Generator<number> {
  const max = Math.max(random.pick([1, 3, 7, 1350, 16_384, 65_536]), bytes / 256);
  for (;;) yield 1 + random.below(max);
}

const isSame = (a: Read, b: Read): boolean =>
  a.code === b.code &&
  a.bodies.length === b.bodies.length &&
  a.bodies.every((body, index) => Buffer.compare(body, b.bodies[index] ?? new Uint8Array(0)) === 0);

function run(input: Uint8Array): void {
  const expected = readSlowly(input);
  if (!isSame(readAll(input, [input.length]), expected)) throw new Violation("read at once it gives other frames");
  // One byte at a time is dear for what is long, and says no more than any other cut.
  if (input.length < 1024 && !isSame(readAll(input, ones()), expected)) {
    throw new Violation("read byte by byte it gives other frames");
  }
  const cut = new Random(input.length * 31 + (input[5] ?? 0));
  if (!isSame(readAll(input, pieces(cut, input.length)), expected))
    throw new Violation("cut anywhere it gives other frames");
}

function* ones(): Generator<number> {
  for (;;) yield 1;
}

const framed = (body: Uint8Array, length = body.length): Uint8Array => join(bigEndian(length, 4), body);

/** Whole frames at the front, and the rest. */
function split(input: Uint8Array): Uint8Array[] {
  const { bodies } = readSlowly(input);
  const whole = bodies.reduce((sum, { length }) => sum + length + FRAME_HEADER_BYTES, 0);
  return [...bodies.map((body) => framed(body)), input.subarray(whole)].filter(({ length }) => length > 0);
}

function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  const parts = split(input);
  const lent = split(other);
  const at = random.below(parts.length);
  const part = parts[at] ?? new Uint8Array(0);
  switch (random.below(6)) {
    case 0:
      return join(...parts.toSpliced(at, 1));
    case 1:
      return join(...parts.toSpliced(at, 0, ...(lent.length > 0 ? [random.pick(lent)] : [])));
    case 2:
      // A header that promises something else.
      return join(...parts.toSpliced(at, 1, framed(part.subarray(FRAME_HEADER_BYTES), random.pick(LENGTHS))));
    case 3: {
      const body = new Uint8Array(random.chance(0.1) ? random.pick(LENGTHS.slice(0, 8)) : random.length(5000)).fill(
        0xf6,
      );
      return join(...parts, framed(body));
    }
    case 4: {
      const body = messages.mutate(random, part.subarray(FRAME_HEADER_BYTES), other.subarray(FRAME_HEADER_BYTES));
      return join(...parts.with(at % Math.max(1, parts.length), framed(body)));
    }
    default:
      return mutateBytes(random, input, other, MAX_BYTES);
  }
}

/** See the top of the file. */
export const target: PureTarget = {
  maxBytes: MAX_BYTES,
  seeds: async () => {
    const bodies = await vectorBytes("messages");
    return [
      ...(await vectorBytes("frames")),
      ...bodies.map((body) => framed(body)),
      join(...bodies.map((b) => framed(b))),
    ];
  },
  mutate,
  run,
};
