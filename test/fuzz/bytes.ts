/** Mutation that knows nothing of what it mutates. */
import type { Random } from "./random.ts";

/** Values at which lengths and counters tend to break. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];

/** The parts, one after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** `value` in so many bytes, big-endian; what does not fit is cut off. */
export function bigEndian(value: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let rest = value;
  for (let at = bytes - 1; at >= 0; at -= 1) {
    out[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
}

type Mutation = (random: Random, input: Uint8Array, other: Uint8Array) => Uint8Array;

const replaced = (input: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array =>
  join(input.subarray(0, from), by, input.subarray(to));

const MUTATIONS: readonly Mutation[] = [
  // A bit.
  (random, input) => {
    const out = input.slice();
    const at = random.below(out.length);
    out[at] = (out[at] ?? 0) ^ (1 << random.below(8));
    return out;
  },
  // A byte, a little up or down or any.
  (random, input) => {
    const out = input.slice();
    const at = random.below(out.length);
    out[at] = random.chance(0.5) ? (out[at] ?? 0) + random.below(9) - 4 : random.below(256);
    return out;
  },
  // An edge of one, two or four bytes.
  (random, input) => {
    const edge = bigEndian(random.pick(EDGES), random.pick([1, 2, 4]));
    const at = random.below(input.length);
    return replaced(input, at, Math.min(input.length, at + edge.length), edge);
  },
  // Cut off.
  (random, input) => input.slice(0, random.below(input.length)),
  // A hole.
  (random, input) => {
    const from = random.below(input.length);
    return replaced(input, from, Math.min(input.length, from + 1 + random.length(64)), new Uint8Array(0));
  },
  // Something between.
  (random, input) => {
    const at = random.below(input.length + 1);
    return replaced(input, at, at, random.bytes(1 + random.length(64)));
  },
  // A part again, here or elsewhere, once or many times.
  (random, input) => {
    const from = random.below(input.length);
    const part = input.subarray(from, from + 1 + random.length(256));
    const times = 1 + random.length(64);
    const at = random.below(input.length + 1);
    return replaced(input, at, at, join(...Array.from({ length: times }, () => part)));
  },
  // A part of another.
  (random, input, other) => {
    const from = random.below(other.length);
    const part = other.subarray(from, from + 1 + random.below(other.length));
    const at = random.below(input.length + 1);
    return replaced(input, at, random.chance(0.5) ? at : Math.min(input.length, at + part.length), part);
  },
];

/** `input` with one to eight changes; `other` lends parts. At most `maxBytes` long. */
export function mutateBytes(random: Random, input: Uint8Array, other: Uint8Array, maxBytes: number): Uint8Array {
  let out = input.length === 0 ? random.bytes(1 + random.length(32)) : input;
  for (let left = 1 + random.length(7); left > 0 && out.length > 0; left -= 1) {
    out = random.pick(MUTATIONS)(random, out, other);
  }
  return out.length > maxBytes ? out.slice(0, maxBytes) : out;
}
