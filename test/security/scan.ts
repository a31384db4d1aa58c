/** Looks for secrets in bytes, in every form in which somebody might have written them. */

/** Something that must not be anywhere, in one of its forms. */
export interface Needle {
  /** What it is, and how it is written. */
  readonly what: string;
  readonly bytes: Buffer;
}

/** A place that was looked into. */
export interface Place {
  readonly name: string;
  readonly bytes: Buffer;
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** Shorter pieces turn up by chance. */
const MIN_TEXT = 8;

/** Binary secrets: raw, in hex, in base64 and base64url at any of the three offsets in a longer text, and in base32 at any of its five. */
export function needlesOf(what: string, secret: Uint8Array): readonly Needle[] {
  const raw = Buffer.from(secret);
  const hex = raw.toString("hex");
  const texts: [string, string][] = [
    ["hex", hex],
    ["HEX", hex.toUpperCase()],
    ["hex with colons", hex.match(/../gu)?.join(":") ?? hex],
    ...shifted(raw, 3).flatMap(([shift, cut]): [string, string][] => {
      const base64 = cut.toString("base64").replace(/=+$/u, "").slice(0, -1);
      return [
        [`base64 + ${String(shift)}`, base64],
        [`base64url + ${String(shift)}`, base64.replaceAll("+", "-").replaceAll("/", "_")],
      ];
    }),
    ...shifted(raw, 5).flatMap(([shift, cut]): [string, string][] => {
      const text = base32(cut);
      return [
        [`base32 + ${String(shift)}`, text],
        [`base32 + ${String(shift)}, lower case`, text.toLowerCase()],
      ];
    }),
  ];
  const needles = texts
    .filter(([, text]) => text.length >= MIN_TEXT)
    .map(([form, text]): Needle => ({ what: `${what} in ${form}`, bytes: Buffer.from(text) }));
  return [{ what: `${what}, raw`, bytes: raw }, ...needles];
}

/** A text that must not be anywhere. */
export function needleOf(what: string, text: string): Needle {
  return { what, bytes: Buffer.from(text) };
}

/** What was found where. */
export function scan(places: readonly Place[], needles: readonly Needle[]): readonly string[] {
  return places.flatMap(({ name, bytes }) =>
    needles.flatMap((needle) => (bytes.includes(needle.bytes) ? [`${needle.what} in ${name}`] : [])),
  );
}

/** The whole groups that a secret fills, wherever in a longer text it begins. */
function shifted(raw: Buffer, group: number): readonly (readonly [number, Buffer])[] {
  return Array.from({ length: group }, (_, shift) => {
    const length = Math.floor((raw.length - shift) / group) * group;
    return [shift, raw.subarray(shift, shift + length)] as const;
  }).filter(([, cut]) => cut.length > 0);
}

function base32(bytes: Buffer): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += BASE32[(value >>> (bits - 5)) & 31] ?? "";
    value &= (1 << bits) - 1;
  }
  return text;
}
