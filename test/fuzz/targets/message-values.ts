/** Changes to a decoded message, and a writer for what comes of it that refuses nothing. */
import { join } from "../bytes.ts";
import type { Random } from "../random.ts";
import { head, item } from "./cbor-items.ts";

/** Bytes that stand for an item and are written as they are. */
class Raw {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

const encoder = new TextEncoder();
const NUMBERS = [0, -1, 1, 0.5, 255, 256, 65_536, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), NaN, Infinity, -0];
const TEXTS = ["", "x", "error", "__proto__", "\u0000", "\u{1f512}", "01ARZ3NDEKTSV4RRFFQ69G5FAV"];

/** `value` with one change somewhere in it; `other` lends fields. */
export function mutateValue(random: Random, value: unknown, other: unknown): unknown {
  if (random.chance(0.15)) return leaf(random, value);
  if (value instanceof Uint8Array || value instanceof Raw) return leaf(random, value);
  if (Array.isArray(value)) return mutateArray(random, value, other);
  if (typeof value === "object" && value !== null) return mutateMap(random, value, other);
  return leaf(random, value);
}

function mutateArray(random: Random, values: readonly unknown[], other: unknown): unknown[] {
  if (values.length === 0) return [other];
  const at = random.below(values.length);
  switch (random.below(4)) {
    case 0:
      return values.toSpliced(at, 1);
    case 1:
      return Array.from({ length: 1 + random.length(random.chance(0.05) ? 300 : 8) }, () => values[at] ?? null).concat(
        values,
      );
    case 2:
      return values.toSpliced(at, 0, other);
    default:
      return values.with(at, mutateValue(random, values[at], other)).slice(0, 5000);
  }
}

function mutateMap(random: Random, map: object, other: unknown): Record<string, unknown> {
  const entries = Object.entries(map);
  const [name, inner] = entries.length > 0 ? random.pick(entries) : ["type", null];
  const lent: readonly [string, unknown][] =
    typeof other === "object" && other !== null && !(other instanceof Uint8Array) ? Object.entries(other) : [];
  switch (random.below(5)) {
    case 0:
      return Object.fromEntries(entries.filter(([key]) => key !== name));
    case 1:
      return { ...map, ...(lent.length > 0 && Object.fromEntries([random.pick(lent)])) };
    case 2:
      return { ...map, [random.pick(["x", "type", "v", "method", name])]: leaf(random, inner) };
    default:
      return { ...map, [name]: mutateValue(random, inner, other) };
  }
}

function leaf(random: Random, value: unknown): unknown {
  switch (random.below(9)) {
    case 0:
      return random.pick(NUMBERS);
    case 1:
      return typeof value === "number" ? value + random.below(5) - 2 : null;
    case 2:
      return random.chance(0.5);
    case 3:
      return random.pick(TEXTS).repeat(1 + random.length(random.chance(0.05) ? 600 : 8));
    case 4:
      return typeof value === "string" ? value.slice(random.below(value.length)) : "";
    case 5:
      return random.bytes(
        value instanceof Uint8Array ? Math.max(0, value.length + random.below(3) - 1) : random.length(40),
      );
    case 6:
      return random.chance(0.5) ? {} : [];
    case 7:
      return [value, value];
    default:
      return new Raw(item(random, 8));
  }
}

/** Write a value, whatever the profile says of it. */
export function write(random: Random, value: unknown): Uint8Array {
  if (value instanceof Raw) return value.bytes;
  if (value instanceof Uint8Array) return join(head(random, 2, value.length), value);
  if (Array.isArray(value)) return join(head(random, 4, value.length), ...value.map((each) => write(random, each)));
  switch (typeof value) {
    case "string": {
      const bytes = encoder.encode(value);
      return join(head(random, 3, bytes.length), bytes);
    }
    case "number":
      return writeNumber(random, value);
    case "boolean":
      return Uint8Array.of(value ? 0xf5 : 0xf4);
    case "object": {
      const entries = Object.entries(value ?? {});
      if (value === null) return Uint8Array.of(0xf6);
      const parts = entries.flatMap(([key, inner]) => [write(random, key), write(random, inner)]);
      return join(head(random, 5, entries.length), ...parts);
    }
    default:
      return Uint8Array.of(0xf7);
  }
}

function writeNumber(random: Random, value: number): Uint8Array {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return value >= 0 ? head(random, 0, value) : head(random, 1, -1 - value);
  }
  const bytes = new Uint8Array(9);
  bytes[0] = 0xfb;
  new DataView(bytes.buffer).setFloat64(1, value);
  return bytes;
}
