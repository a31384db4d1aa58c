/** Group order of P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * Rewrite a certificate's ECDSA signature (r, s) to (r, n - s): other bytes, as valid as before, no key needed.
 * @see RFC 5758 section 3.2 for the form
 */
export function malleate(certificate: Uint8Array): Uint8Array {
  const bytes = Buffer.from(certificate);
  // Certificate ::= SEQUENCE { tbs, algorithm, BIT STRING signature }
  const body = content(bytes, 0);
  const tbs = content(bytes, body.start);
  const algorithm = content(bytes, tbs.end);
  const signature = content(bytes, algorithm.end);
  const pair = content(bytes, signature.start + 1);
  const r = content(bytes, pair.start);
  const s = content(bytes, r.end);
  const flipped = ORDER - BigInt(`0x${bytes.subarray(s.start, s.end).toString("hex")}`);
  const integers = Buffer.concat([bytes.subarray(pair.start, r.end), der(0x02, unsigned(flipped))]);
  const rewritten = der(0x03, Buffer.concat([Buffer.of(0), der(0x30, integers)]));
  return new Uint8Array(der(0x30, Buffer.concat([bytes.subarray(body.start, algorithm.end), rewritten])));
}

function content(bytes: Buffer, at: number): { start: number; end: number } {
  const first = bytes.readUInt8(at + 1);
  const longForm = first & 0x80 ? first & 0x7f : 0;
  const length = longForm === 0 ? first : bytes.readUIntBE(at + 2, longForm);
  const start = at + 2 + longForm;
  return { start, end: start + length };
}

function der(tag: number, value: Buffer): Buffer {
  if (value.length < 128) return Buffer.concat([Buffer.of(tag, value.length), value]);
  if (value.length < 256) return Buffer.concat([Buffer.of(tag, 0x81, value.length), value]);
  return Buffer.concat([Buffer.of(tag, 0x82, value.length >> 8, value.length & 0xff), value]);
}

function unsigned(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return bytes.readUInt8(0) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
}
