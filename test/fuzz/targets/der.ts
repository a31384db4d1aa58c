/** DER as a tree that may be changed anywhere and is written with the right lengths, most of the time. */
import { bigEndian, join, mutateBytes } from "../bytes.ts";
import type { Random } from "../random.ts";

/** One element: its tag, and its content or what is in it. */
export interface Element {
  readonly tag: number;
  readonly content: Uint8Array | readonly Element[];
}

const CONSTRUCTED = 0x20;
const MAX_DEPTH = 12;

/** Read elements; what cannot be read as such becomes the content of one. */
export function readElements(bytes: Uint8Array, depth = 0): Element[] {
  const elements: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0;
    const extra = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + extra;
    const length = extra === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, byte) => sum * 256 + byte, 0);
    const content = bytes.subarray(start, start + length);
    const isTree = (tag & CONSTRUCTED) !== 0 && depth < MAX_DEPTH;
    elements.push({ tag, content: isTree ? readElements(content, depth + 1) : content });
    at = start + length;
  }
  return elements;
}

/** Write elements; `random` has a length be wrong or longer than it need be now and then. */
export function writeElements(elements: readonly Element[], random?: Random): Uint8Array {
  return join(
    ...elements.map(({ tag, content }) => {
      const inner = content instanceof Uint8Array ? content : writeElements(content, random);
      return join(Uint8Array.of(tag), lengthOf(inner.length, random), inner);
    }),
  );
}

function lengthOf(length: number, random: Random | undefined): Uint8Array {
  const lie = random !== undefined && random.chance(0.01);
  const said = lie ? length + random.pick([-1, 1, 1000, 2 ** 31]) : length;
  if (random !== undefined && random.chance(0.01))
    return random.pick([Uint8Array.of(0x80), join(Uint8Array.of(0x84), bigEndian(said, 4))]);
  if (said >= 0 && said < 0x80) return Uint8Array.of(said);
  const bytes = said < 0x100 ? 1 : said < 0x1_0000 ? 2 : 4;
  return join(Uint8Array.of(0x80 | bytes), bigEndian(Math.max(0, said), bytes));
}

/** One change somewhere in a tree. */
export function mutateElements(random: Random, elements: readonly Element[], other: readonly Element[]): Element[] {
  const at = random.below(elements.length);
  const element = elements[at];
  if (element === undefined) return [...other];
  const { tag, content } = element;
  switch (random.below(8)) {
    case 0:
      return elements.toSpliced(at, 1);
    case 1:
      return elements.toSpliced(at, 0, element);
    case 2:
      return elements.with(at, { tag: random.below(256), content });
    case 3:
      return other.length > 0 ? elements.with(at, random.pick(other)) : [...elements];
    case 4:
      return elements.with(at, nested(random, element));
    default:
      if (!(content instanceof Uint8Array)) {
        return elements.with(at, { tag, content: mutateElements(random, content, other) });
      }
      return elements.with(at, { tag, content: mutateBytes(random, content, content, 4096) });
  }
}

function nested(random: Random, element: Element): Element {
  let out = element;
  for (let left = random.length(200); left > 0; left -= 1) out = { tag: 0x30, content: [out] };
  return out;
}
