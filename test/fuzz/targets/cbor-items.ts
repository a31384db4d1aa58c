/** CBOR as a generator writes it: mostly well-formed, at times with every mistake that the profile of docs/wire.md names. */
import { bigEndian, join } from "../bytes.ts";
import type { Random } from "../random.ts";

const MAX_DEPTH = 12;
const EDGE_NUMBERS = [0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 60];
const KEYS = ["", "a", "v", "type", "method", "__proto__", "constructor", "prototype", "toString", "é", "\u{fffd}"];
const encoder = new TextEncoder();

/** Initial byte and argument; now and then longer than it need be. */
export function head(random: Random, major: number, argument: number): Uint8Array {
  const size = argument < 24 ? 0 : argument < 0x100 ? 1 : argument < 0x1_0000 ? 2 : argument < 2 ** 32 ? 4 : 8;
  const wide = random.chance(0.03) ? random.pick([1, 2, 4, 8]) : size;
  const info = wide === 0 ? argument % 24 : { 1: 24, 2: 25, 4: 26, 8: 27 }[wide];
  return join(Uint8Array.of((major << 5) | (info ?? 0)), bigEndian(argument, wide));
}

/** One item, with what is in it. */
export function item(random: Random, depth = 0): Uint8Array {
  const lie = random.chance(0.02) ? random.pick([1, 2, 100, 2 ** 31, 2 ** 53]) : 0;
  const kind = random.below(depth >= MAX_DEPTH ? 7 : 10);
  switch (kind) {
    case 0:
    case 1:
      return head(random, kind, random.chance(0.3) ? random.pick(EDGE_NUMBERS) : random.below(1000));
    case 2: {
      const bytes = random.bytes(random.length(random.chance(0.1) ? 600 : 30));
      return join(head(random, 2, bytes.length + lie), bytes);
    }
    case 3:
      return text(random, lie);
    case 4:
      return simple(random);
    case 5:
      return random.pick(FORBIDDEN)(random, depth);
    case 6:
      return random.bytes(1 + random.below(4));
    case 7: {
      const items = Array.from({ length: random.length(40 >> depth) }, () => item(random, depth + 1));
      return join(head(random, 4, items.length + lie), ...items);
    }
    default: {
      const entries = Array.from({ length: random.length(20 >> depth) }, () => [
        key(random),
        item(random, depth + 1),
      ]).flat();
      return join(head(random, 5, entries.length / 2 + lie), ...entries);
    }
  }
}

const FORBIDDEN: readonly ((random: Random, depth: number) => Uint8Array)[] = [
  // A tag.
  (random, depth) => join(head(random, 6, random.pick([0, 2, 3, 55799])), item(random, depth + 1)),
  // Indefinite lengths, with an end or without.
  (random, depth) =>
    join(
      Uint8Array.of(random.pick([0x5f, 0x7f, 0x9f, 0xbf])),
      item(random, depth + 1),
      random.chance(0.5) ? Uint8Array.of(0xff) : new Uint8Array(0),
    ),
  // Much nesting.
  (random) => new Uint8Array(random.length(600)).fill(random.pick([0x81, 0xa1, 0xc1, 0x9f])),
  // Many items.
  (random) => join(head(random, 4, 5000), new Uint8Array(random.chance(0.05) ? random.below(5001) : 8)),
  // Undefined and other simple values.
  (random) => Uint8Array.of(0xe0 | random.below(32), random.below(256)),
];

function simple(random: Random): Uint8Array {
  switch (random.below(5)) {
    case 0:
      return Uint8Array.of(0xf4 + random.below(3));
    case 1:
      return join(Uint8Array.of(0xf9), random.bytes(2));
    case 2:
      return join(Uint8Array.of(0xfa), random.bytes(4));
    case 3:
      return join(Uint8Array.of(0xfb), random.pick([random.bytes(8), bigEndian(0x7ff8, 2), bigEndian(0, 8)]));
    default:
      return Uint8Array.of(0xf6);
  }
}

function text(random: Random, lie: number): Uint8Array {
  const bytes = random.chance(0.8)
    ? encoder.encode(random.pick(KEYS).repeat(random.length(20)))
    : random.bytes(random.length(40));
  return join(head(random, 3, bytes.length + lie), bytes);
}

function key(random: Random): Uint8Array {
  if (random.chance(0.03)) return item(random, MAX_DEPTH);
  const bytes = encoder.encode(random.chance(0.7) ? random.pick(KEYS) : `k${String(random.below(100))}`);
  const long = random.chance(0.02) ? new Uint8Array(random.below(2000)).fill(0x61) : bytes;
  return join(head(random, 3, long.length), long);
}
