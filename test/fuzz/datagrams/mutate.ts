/** Datagrams that look like QUIC to a different depth each. */
import { bigEndian, join, mutateBytes } from "../bytes.ts";
import type { Random } from "../random.ts";
import { cryptoFrame, sealInitial } from "../../../packages/transport-quic/test/support/initial-packet.ts";

/** The longest UDP payload over IPv4. */
const MAX_DATAGRAM_BYTES = 65_507;

const VERSIONS = [0, 1, 2, 0x6b3343cf, 0xff00001d, 0x0a0a0a0a, 0xffffffff];
const FIRST_BYTES = [0x00, 0x40, 0x80, 0xc0, 0xc3, 0xd0, 0xe0, 0xf0, 0xff];
const ID_LENGTHS = [0, 1, 7, 8, 19, 20, 21, 255];
/** Of RFC 9000 section 19, and some that there are not. */
const FRAME_TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0x10, 0x12, 0x16, 0x18, 0x19, 0x1a, 0x1c, 0x1d, 0x1e, 0x1f, 0x40];

/** A datagram made of what crossed the path, or of nothing. */
export function mutateDatagram(random: Random, seen: readonly Uint8Array[]): Uint8Array {
  const one = random.pick(seen);
  const other = random.pick(seen);
  switch (random.below(10)) {
    case 0:
      return random.bytes(1 + random.length(random.chance(0.05) ? MAX_DATAGRAM_BYTES - 1 : 1400));
    case 1:
      return longHeader(random);
    case 2:
      return initial(random);
    case 3:
      // As it was, again.
      return one;
    case 4:
      // Several packets in one datagram.
      return join(one, other).slice(0, MAX_DATAGRAM_BYTES);
    case 5:
      // To the ids of another connection.
      return join(one.subarray(0, 1), other.subarray(1, 47), one.subarray(47));
    case 6:
      return join(Uint8Array.of(random.pick(FIRST_BYTES)), one.subarray(1));
    default:
      return mutateBytes(random, one, other, MAX_DATAGRAM_BYTES);
  }
}

function longHeader(random: Random): Uint8Array {
  const ids = [random.pick(ID_LENGTHS), random.pick(ID_LENGTHS)].map((length) =>
    join(Uint8Array.of(length), random.bytes(random.chance(0.9) ? length : random.length(300))),
  );
  const head = join(Uint8Array.of(random.pick(FIRST_BYTES) | 0x80), bigEndian(random.pick(VERSIONS), 4), ...ids);
  const bytes = random.pick([20, 26, 1199, 1200, 1350, 9000]);
  return join(head, random.bytes(Math.max(0, bytes - head.length)));
}

/** One that opens: its keys follow from its id, so a stranger may put any frames into it. */
function initial(random: Random): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let left = 1 + random.length(20); left > 0; left -= 1) {
    const data = Buffer.from(random.bytes(random.length(400)));
    if (random.chance(0.4)) frames.push(cryptoFrame(random.length(100_000), data));
    else frames.push(join(Uint8Array.of(random.pick(FRAME_TYPES)), data.subarray(0, random.length(40))));
  }
  const token = random.chance(0.3) ? { token: Buffer.from(random.bytes(random.length(200))) } : {};
  return sealInitial({
    dcid: Buffer.from(random.bytes(8 + random.below(13))),
    scid: Buffer.from(random.bytes(random.below(21))),
    number: random.below(10),
    frames: Buffer.from(join(...frames)),
    ...token,
  });
}

/** Datagrams in one file: each with two bytes of length in front. */
export function writeSequence(datagrams: readonly Uint8Array[]): Uint8Array {
  return join(...datagrams.flatMap((datagram) => [bigEndian(datagram.length, 2), datagram]));
}

/** Read {@link writeSequence} back. */
export function readSequence(bytes: Uint8Array): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const length = (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
    datagrams.push(bytes.slice(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return datagrams;
}
