import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";

const TAG_BYTES = 16;
const LONG_HEADER = 0x80;

const expand = (secret: Buffer, label: string, bytes: number): Buffer => {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, bytes, name.length), name, Buffer.of(0, 1)]);
  return createHmac("sha256", secret).update(info).digest().subarray(0, bytes);
};

/** Reads the frames of a server's 1-RTT packets, given what a key log says of the connection. RFC 9001 section 5. */
export class ServerFrames {
  readonly #key: Buffer;
  readonly #iv: Buffer;
  readonly #headerKey: Buffer;
  readonly #idBytes: number;

  /** @param keyLog in NSS's format @param idBytes of the client's connection id */
  constructor(keyLog: string, idBytes: number) {
    const line = keyLog.split("\n").find((text) => text.startsWith("SERVER_TRAFFIC_SECRET_0 "));
    if (line === undefined) throw new Error("the key log has no server traffic secret");
    const secret = Buffer.from(line.trim().split(" ").at(-1) ?? "", "hex");
    if (secret.length !== 32) throw new Error("not a suite with SHA-256");
    this.#key = expand(secret, "quic key", 16);
    this.#iv = expand(secret, "quic iv", 12);
    this.#headerKey = expand(secret, "quic hp", 16);
    this.#idBytes = idBytes;
  }

  /** Frame types of the 1-RTT packet in a datagram, each once and in order; `undefined` where there is none. Packets number below 256. */
  typesIn(datagram: Buffer): number[] | undefined {
    const packet = shortPacketIn(datagram);
    if (packet === undefined) return undefined;
    const numberAt = 1 + this.#idBytes;
    const sample = packet.subarray(numberAt + 4, numberAt + 20);
    const mask = createCipheriv("aes-128-ecb", this.#headerKey, null).update(sample);
    const first = packet.readUInt8(0) ^ (mask.readUInt8(0) & 0x1f);
    const numberBytes = (first & 0b11) + 1;
    const head = Buffer.from(packet.subarray(0, numberAt + numberBytes));
    head.writeUInt8(first, 0);
    for (let at = 0; at < numberBytes; at += 1) {
      head.writeUInt8(head.readUInt8(numberAt + at) ^ mask.readUInt8(1 + at), numberAt + at);
    }
    const nonce = Buffer.from(this.#iv);
    nonce.writeUInt8(nonce.readUInt8(11) ^ head.readUInt8(head.length - 1), 11);
    const open = createDecipheriv("aes-128-gcm", this.#key, nonce);
    open.setAAD(head);
    open.setAuthTag(packet.subarray(packet.length - TAG_BYTES));
    const plaintext = Buffer.concat([
      open.update(packet.subarray(head.length, packet.length - TAG_BYTES)),
      open.final(),
    ]);
    return typesOf(plaintext);
  }
}

/** The packet with a short header, behind the long ones that share its datagram (RFC 9000 section 12.2). */
function shortPacketIn(datagram: Buffer): Buffer | undefined {
  let rest = datagram;
  while (rest.length > 0 && (rest.readUInt8(0) & LONG_HEADER) !== 0) {
    const reader = new Reader(rest);
    const type = (reader.bytes(1).readUInt8(0) >> 4) & 0b11;
    reader.bytes(4);
    reader.bytes(reader.bytes(1).readUInt8(0));
    reader.bytes(reader.bytes(1).readUInt8(0));
    if (type === 0) reader.bytes(reader.varint());
    reader.bytes(reader.varint());
    rest = reader.rest();
  }
  return rest.length === 0 ? undefined : rest;
}

// RFC 9000 section 19. Throws for a frame that none of these tests' servers sends.
function typesOf(plaintext: Buffer): number[] {
  const reader = new Reader(plaintext);
  const types = new Set<number>();
  while (reader.left > 0) {
    const type = reader.varint();
    if (type !== 0x00) types.add(type);
    skipFrame(type, reader);
  }
  return [...types];
}

function skipFrame(type: number, reader: Reader): void {
  const varints = (count: number): void => {
    for (let index = 0; index < count; index += 1) reader.varint();
  };
  switch (type) {
    case 0x00:
    case 0x01:
    case 0x1e:
      return;
    case 0x02: {
      varints(2);
      const ranges = reader.varint();
      return varints(1 + 2 * ranges);
    }
    case 0x06:
      reader.varint();
      return void reader.bytes(reader.varint());
    case 0x10:
    case 0x12:
    case 0x13:
      return varints(1);
    case 0x18:
      varints(2);
      return void reader.bytes(reader.bytes(1).readUInt8(0) + 16);
    case 0x1c:
      varints(2);
      return void reader.bytes(reader.varint());
    case 0x1d:
      varints(1);
      return void reader.bytes(reader.varint());
    default:
      throw new Error(`a frame of type 0x${type.toString(16)}`);
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  bytes(count: number): Buffer {
    if (count > this.left) throw new RangeError("the packet ends early");
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  /** RFC 9000 section 16. */
  varint(): number {
    const first = this.bytes(1).readUInt8(0);
    let value = first & 0x3f;
    for (const byte of this.bytes((1 << (first >> 6)) - 1)) value = value * 256 + byte;
    return value;
  }
}
