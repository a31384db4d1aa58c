/** Real QUIC, with everything that crosses the transport port written down in the clear. */
import type { ByteStream, Connection, Listener, Transport } from "@quaymesh/protocol";
import { standIn } from "../simulation/stand-in.ts";

/** Bytes that were seen. */
export class Tap {
  readonly #chunks: Buffer[] = [];

  /** All of them, one after the other. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Write some down. */
  note(bytes: Uint8Array): void {
    this.#chunks.push(Buffer.from(bytes));
  }
}

/** `transport`, with what its streams carry going to `tap` too. */
export function tapped(transport: Transport, tap: Tap): Transport {
  return {
    dial: async (address, options) => tapConnection(await transport.dial(address, options), tap),
    listen: async (options) => {
      const listener = await transport.listen(options);
      return standIn<Listener>(listener, {
        async *[Symbol.asyncIterator]() {
          for await (const connection of listener) yield tapConnection(connection, tap);
        },
      });
    },
  };
}

function tapConnection(connection: Connection, tap: Tap): Connection {
  const incoming = async function* (): AsyncGenerator<ByteStream, void> {
    for await (const stream of connection.incomingStreams) yield tapStream(stream, tap);
  };
  const all = incoming();
  return standIn(connection, {
    openStream: async (options) => tapStream(await connection.openStream(options), tap),
    incomingStreams: all,
  });
}

function tapStream(stream: ByteStream, tap: Tap): ByteStream {
  const read: ByteStream["read"] = async (into) => {
    const bytes = await stream.read(into);
    if (bytes !== null) tap.note(bytes);
    return bytes;
  };
  return standIn(stream, {
    read,
    async *[Symbol.asyncIterator]() {
      for (let bytes = await read(); bytes !== null; bytes = await read()) yield bytes;
    },
    write: (bytes) => {
      tap.note(bytes);
      return stream.write(bytes);
    },
    end: (bytes) => {
      if (bytes !== undefined) tap.note(bytes);
      return stream.end(bytes);
    },
  });
}
