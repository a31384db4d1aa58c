import { createCipheriv, createHmac } from "node:crypto";

/** RFC 9001 section 5.2. */
const INITIAL_SALT = Buffer.from("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "hex");
/** RFC 9000 section 19.19, the transport variant. */
const CONNECTION_CLOSE = 0x1c;
const INITIAL_FIRST_BYTE = 0xc0;
const VERSION = Buffer.from([0, 0, 0, 1]);
const TAG_BYTES = 16;
const PACKET_NUMBER_BYTES = 1;
/** Header protection samples 16 bytes from 4 bytes past the packet number's start, so there must be that many. */
const MIN_PLAINTEXT_BYTES = 20;
const MAX_REASON_BYTES = 64;

const expandLabel = (secret: Buffer, label: string, bytes: number): Buffer => {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, bytes, name.length]), name, Buffer.from([0, 1])]);
  // One HKDF-Expand block is 32 bytes, the most that is asked for here.
  return createHmac("sha256", secret).update(info).digest().subarray(0, bytes);
};

const twoByteLength = (length: number): Buffer => Buffer.from([0x40 | (length >> 8), length & 0xff]);

/**
 * An Initial packet that refuses a client with no state kept and no TLS done (RFC 9000 section 10.2.3): a CONNECTION_CLOSE sealed with the keys
 * that follow from the client's own destination id (RFC 9001 section 5.2).
 * @param dcid what the client chose as destination id; becomes our source id
 * @param scid the client's source id
 * @param code transport error code, below 64
 * @param reason ASCII, at most 64 bytes
 */
export function statelessClose(dcid: Uint8Array, scid: Uint8Array, code: number, reason: string): Buffer {
  const initial = createHmac("sha256", INITIAL_SALT).update(dcid).digest();
  const secret = expandLabel(initial, "server in", 32);
  const text = Buffer.from(reason, "ascii").subarray(0, MAX_REASON_BYTES);
  const frame = Buffer.concat([Buffer.from([CONNECTION_CLOSE, code, 0, 0x40, text.length]), text]);
  // Zeros are PADDING frames.
  const plaintext = Buffer.concat([frame, Buffer.alloc(Math.max(0, MIN_PLAINTEXT_BYTES - frame.length))]);
  const header = Buffer.concat([
    Buffer.from([INITIAL_FIRST_BYTE]),
    VERSION,
    Buffer.from([scid.length]),
    scid,
    Buffer.from([dcid.length]),
    dcid,
    Buffer.from([0]),
    twoByteLength(PACKET_NUMBER_BYTES + plaintext.length + TAG_BYTES),
    Buffer.alloc(PACKET_NUMBER_BYTES),
  ]);
  // Packet number 0 leaves the nonce equal to the IV.
  const cipher = createCipheriv("aes-128-gcm", expandLabel(secret, "quic key", 16), expandLabel(secret, "quic iv", 12));
  cipher.setAAD(header);
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return protectHeader(Buffer.concat([header, sealed]), header.length - PACKET_NUMBER_BYTES, secret);
}

// RFC 9001 section 5.4.
function protectHeader(packet: Buffer, numberAt: number, secret: Buffer): Buffer {
  const sample = packet.subarray(numberAt + 4, numberAt + 20);
  const mask = createCipheriv("aes-128-ecb", expandLabel(secret, "quic hp", 16), null).update(sample);
  packet.writeUInt8(packet.readUInt8(0) ^ ((mask[0] ?? 0) & 0x0f), 0);
  packet.writeUInt8(packet.readUInt8(numberAt) ^ (mask[1] ?? 0), numberAt);
  return packet;
}
