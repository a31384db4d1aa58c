/** A path between a session and the gateway, with somebody on it: it captures, forwards, corrupts, and sends what it likes in both directions. */
import dgram from "node:dgram";
import { once } from "node:events";

const MAX_CAPTURED = 256;

/** See the top of the file. */
export class Path implements AsyncDisposable {
  readonly #front: dgram.Socket;
  readonly #back: dgram.Socket;
  readonly #gatewayPort: number;
  #client: dgram.RemoteInfo | undefined;
  /** Datagrams that crossed, the latest last. */
  readonly captured: Buffer[] = [];
  /** Asked of every datagram that crosses: what crosses instead. */
  tamper: (datagram: Buffer) => Buffer = (datagram) => datagram;

  private constructor(front: dgram.Socket, back: dgram.Socket, gatewayPort: number) {
    this.#front = front;
    this.#back = back;
    this.#gatewayPort = gatewayPort;
    front.on("message", (datagram, from) => {
      this.#client = from;
      this.#capture(datagram);
      this.toGateway(this.tamper(datagram));
    });
    back.on("message", (datagram) => {
      this.#capture(datagram);
      this.toClient(this.tamper(datagram));
    });
  }

  /** A path to this port of loopback. */
  static async open(gatewayPort: number): Promise<Path> {
    const [front, back] = [await openSocket(), await openSocket()];
    return new Path(front, back, gatewayPort);
  }

  /** Where the session dials. */
  get port(): number {
    return this.#front.address().port;
  }

  /** Send as the session would. */
  toGateway(datagram: Uint8Array): void {
    this.#back.send(datagram, this.#gatewayPort, "127.0.0.1", () => undefined);
  }

  /** Send as the gateway would. */
  toClient(datagram: Uint8Array): void {
    if (this.#client !== undefined)
      this.#front.send(datagram, this.#client.port, this.#client.address, () => undefined);
  }

  #capture(datagram: Buffer): void {
    this.captured.push(Buffer.from(datagram));
    // The first ones are the handshake, and come only once.
    if (this.captured.length > MAX_CAPTURED) this.captured.splice(MAX_CAPTURED / 2, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.#front, this.#back]) {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    }
  }
}

/** A socket on loopback whose errors are the network's. */
export async function openSocket(): Promise<dgram.Socket> {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("error", () => undefined);
  return socket;
}
