/**
 * A Transport over loopback TCP for tests that need a second process: a dialer states its key's hash in one line, the listener its chain, and both are believed. One
 * connection, one stream. It is no product code and has no security; QUIC's own tests are elsewhere.
 */
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { certificatesFromPem } from "@quaymesh/identity";
import {
  TransportError,
  type ByteStream,
  type CloseInfo,
  type Connection,
  type Listener,
  type PeerIdentity,
  type Transport,
} from "@quaymesh/protocol";

class TcpStream implements ByteStream {
  readonly id = 0;
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }
  async read(): Promise<Uint8Array | null> {
    try {
      const { done, value } = await this.#chunks.next();
      return done === true ? null : new Uint8Array(value);
    } catch (cause) {
      throw new TransportError("CONNECTION_CLOSED", "the socket broke", { cause });
    }
  }
  write(bytes: Uint8Array): undefined {
    if (this.#socket.writable) this.#socket.write(bytes);
  }
  end(bytes?: Uint8Array): undefined {
    if (bytes !== undefined) this.write(bytes);
    this.#socket.end();
  }
  reset(): void {
    this.#socket.destroy();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await Promise.resolve();
  }
}

class TcpConnection implements Connection {
  readonly peer: PeerIdentity;
  readonly closed: Promise<CloseInfo>;
  readonly #socket: Socket;
  readonly #stream: TcpStream;
  constructor(socket: Socket, peer: PeerIdentity) {
    this.peer = peer;
    this.#socket = socket;
    this.#stream = new TcpStream(socket);
    this.closed = new Promise((resolve) => socket.once("close", () => resolve({ kind: "local" })));
    socket.on("error", () => {});
  }
  get remoteAddress() {
    return { host: this.#socket.remoteAddress ?? "127.0.0.1", port: this.#socket.remotePort ?? 0 };
  }
  get incomingStreams(): AsyncIterable<ByteStream> {
    const stream = this.#stream;
    return (async function* () {
      await Promise.resolve();
      yield stream;
    })();
  }
  openStream(): Promise<ByteStream> {
    return Promise.resolve(this.#stream);
  }
  close(): void {
    this.#socket.destroy();
  }
  stats() {
    const { remoteAddress } = this;
    const path = { localAddress: remoteAddress, remoteAddress, ageMs: 0, rttMs: 0, congestionWindowBytes: 0 };
    const bytes = {
      datagramBytes: 0,
      bytesSent: 0,
      bytesReceived: 0,
      bytesRetransmitted: 0,
      deliveryBytesPerSecond: 0,
    };
    return { ...path, ...bytes, packetsSent: 0, packetsReceived: 0, packetsLost: 0 };
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }
}

/** The first line; what comes after it stays in the socket. */
async function readLine(socket: Socket): Promise<string> {
  let line = "";
  while (!line.endsWith("\n")) {
    const more = socket.read(1) as Buffer | null;
    if (more === null) await once(socket, "readable");
    else line += more.toString("latin1");
  }
  return line.trimEnd();
}

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

async function* connectionsOf(server: Server, chainPem: string): AsyncGenerator<Connection> {
  const waiting: Connection[] = [];
  let wake = Promise.withResolvers<void>();
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => {});
    socket.write(
      `${certificatesFromPem(chainPem)
        .map((der) => Buffer.from(der).toString("hex"))
        .join(",")}\n`,
    );
    void readLine(socket).then((line) => {
      waiting.push(new TcpConnection(socket, { chain: [new Uint8Array(1)], spkiSha256: hex(line) }));
      wake.resolve();
    });
  });
  server.once("close", () => wake.resolve());
  while (server.listening || waiting.length > 0) {
    const next = waiting.shift();
    if (next !== undefined) yield next;
    else {
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  }
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo. */
export function spkiOf(der: Uint8Array): Uint8Array {
  const spki = new X509Certificate(der).publicKey.export({ type: "spki", format: "der" });
  return new Uint8Array(createHash("sha256").update(spki).digest());
}

/** @param spkiSha256 the key a dialer states */
export function tcpTransport(spkiSha256: Uint8Array = new Uint8Array(32)): Transport {
  return {
    async listen({ address, credentials }): Promise<Listener> {
      const server = createServer({ pauseOnConnect: false, allowHalfOpen: true });
      const connections = connectionsOf(server, credentials.chainPem);
      const open = new Set<Socket>();
      server.on("connection", (socket) => {
        open.add(socket);
        socket.once("close", () => open.delete(socket));
      });
      const asked = "host" in address || "fd" in address ? address : address[0];
      if (asked === undefined || "fd" in asked) throw new Error("this transport listens on one host and port");
      await new Promise<void>((resolve, reject) => {
        server.once("error", (cause) => reject(new TransportError("ADDRESS_IN_USE", "the port is in use", { cause })));
        server.listen(asked.port, asked.host, resolve);
      });
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      const close = async () => {
        if (!server.listening) return;
        const closed = once(server, "close");
        server.close();
        for (const socket of open) socket.destroy();
        await closed;
      };
      return {
        address: { host: asked.host, port },
        addresses: [{ host: asked.host, port, asked }],
        setCredentials: () => {},
        setTrustAnchors: () => {},
        stats: () => ({
          connections: open.size,
          halfOpen: 0,
          accepted: 0,
          refused: {},
          cut: {},
          throttled: 0,
          datagramsReceived: 0,
          datagramsSent: 0,
          bytesReceived: 0,
          bytesSent: 0,
          sendErrors: 0,
        }),
        close,
        [Symbol.asyncIterator]: () => connections,
        [Symbol.asyncDispose]: close,
      };
    },
    async dial({ host, port }): Promise<Connection> {
      const socket = connect({ host, port });
      await once(socket, "connect");
      socket.write(`${Buffer.from(spkiSha256).toString("hex")}\n`);
      const chain = (await readLine(socket)).split(",").map(hex);
      return new TcpConnection(socket, { chain, spkiSha256: spkiOf(chain[0] ?? new Uint8Array()) });
    },
  };
}
