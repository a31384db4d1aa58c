import { createCipheriv, createHmac } from "node:crypto";

/** RFC 9001 section 5.2. */
const INITIAL_SALT = Buffer.from("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "hex");
const VERSION_1 = Buffer.of(0, 0, 0, 1);
const TAG_BYTES = 16;
const NUMBER_BYTES = 4;

/** What a client's Initial is made of; whatever frames, well-formed or not. */
export interface InitialPacket {
  readonly dcid: Buffer;
  readonly scid: Buffer;
  readonly number: number;
  readonly frames: Buffer;
  /** What a Retry gave. Default: none. */
  readonly token?: Buffer;
}

const expand = (secret: Buffer, label: string, bytes: number): Buffer => {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, bytes, name.length), name, Buffer.of(0, 1)]);
  return createHmac("sha256", secret).update(info).digest().subarray(0, bytes);
};

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A variable-length integer in its four-byte form (RFC 9000 section 16). */
const varint4 = (value: number): Buffer => u32(0x8000_0000 + value);

/** A CRYPTO frame. */
export const cryptoFrame = (offset: number, data: Buffer): Buffer =>
  Buffer.concat([Buffer.of(0x06), varint4(offset), varint4(data.length), data]);

/** An Initial that opens: anybody can seal one, its keys follow from the destination id. */
export function sealInitial({ dcid, scid, number, frames, token = Buffer.alloc(0) }: InitialPacket): Buffer {
  const initial = createHmac("sha256", INITIAL_SALT).update(dcid).digest();
  const secret = expand(initial, "client in", 32);
  const ids = Buffer.concat([Buffer.of(dcid.length), dcid, Buffer.of(scid.length), scid]);
  const tokenField = Buffer.concat([varint4(token.length), token]);
  const shortest = 1200 - 1 - VERSION_1.length - ids.length - tokenField.length - 4 - NUMBER_BYTES - TAG_BYTES;
  // Zeros are PADDING frames.
  const plaintext = Buffer.concat([frames, Buffer.alloc(Math.max(0, shortest - frames.length))]);
  const length = varint4(NUMBER_BYTES + plaintext.length + TAG_BYTES);
  const head = Buffer.concat([Buffer.of(0xc3), VERSION_1, ids, tokenField, length, u32(number)]);
  const nonce = expand(secret, "quic iv", 12);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  const cipher = createCipheriv("aes-128-gcm", expand(secret, "quic key", 16), nonce);
  cipher.setAAD(head);
  const packet = Buffer.concat([head, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const numberAt = head.length - NUMBER_BYTES;
  const sample = packet.subarray(numberAt + 4, numberAt + 20);
  const mask = createCipheriv("aes-128-ecb", expand(secret, "quic hp", 16), null).update(sample);
  packet.writeUInt8(packet.readUInt8(0) ^ (mask.readUInt8(0) & 0x0f), 0);
  for (let at = 0; at < NUMBER_BYTES; at += 1) {
    packet.writeUInt8(packet.readUInt8(numberAt + at) ^ mask.readUInt8(1 + at), numberAt + at);
  }
  return packet;
}
