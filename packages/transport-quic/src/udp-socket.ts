import dgram from "node:dgram";
import { once } from "node:events";
import type { HostPort } from "./binding.ts";
import type { IpAddress } from "./address.ts";

/** A burst of one congestion window must fit, or loopback drops datagrams. */
const SOCKET_BUFFER_BYTES = 4 << 20;

/** Where a datagram came from, as the kernel gave it. */
export interface DatagramSource {
  readonly address: string;
  readonly port: number;
}

/** What a socket hands over. */
export interface UdpHandler {
  /** A datagram came in. Must not throw. */
  datagram(datagram: Buffer, from: DatagramSource): void;
  /** The kernel reported an error of an earlier send or a receive, `ECONNREFUSED` for instance. */
  fault(code: string): void;
}

const errno = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : "UNKNOWN");

/** A UDP socket whose errors are counted, never thrown: the network is allowed to fail. */
export class UdpSocket {
  readonly #socket: dgram.Socket;
  readonly local: HostPort;
  #connected: boolean;
  #closed = false;
  #handler: UdpHandler | undefined;
  sent = 0;
  sendErrors = 0;
  received = 0;

  // One shared function, not a closure per datagram.
  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#fail(error);
  };

  private constructor(socket: dgram.Socket, connected: boolean) {
    const address = socket.address();
    this.#socket = socket;
    this.#connected = connected;
    this.local = { host: address.address, port: address.port };
    socket.on("error", (error) => this.#fail(error));
    socket.on("message", (datagram, from) => {
      this.received += 1;
      this.#handler?.datagram(datagram, from);
    });
  }

  /** Bind to an address. @throws the system's error */
  static async bind(address: IpAddress): Promise<UdpSocket> {
    const socket = open(address.family);
    try {
      // Before the call: with an address that needs no lookup the event comes within it.
      const listening = once(socket, "listening");
      socket.bind({ port: address.port, address: address.host, exclusive: true });
      await listening;
      enlarge(socket);
      return new UdpSocket(socket, false);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** A socket that talks to one address only; the kernel then routes once and reports a refused port. @throws the system's error */
  static async connect(address: IpAddress): Promise<UdpSocket> {
    const socket = open(address.family);
    try {
      const connected = once(socket, "connect");
      socket.connect(address.port, address.host);
      await connected;
      enlarge(socket);
      return new UdpSocket(socket, true);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Start handing datagrams over. */
  listen(handler: UdpHandler): void {
    this.#handler = handler;
  }

  /** Datagrams that the kernel has not taken yet. */
  queued(): number {
    return this.#closed ? 0 : this.#socket.getSendQueueCount();
  }

  /** Send `buffer[0, bytes)`. The buffer must stay as it is while {@link UdpSocket.queued} is above 0. */
  send(buffer: Uint8Array, bytes: number, to: HostPort): void {
    if (this.#closed) return;
    this.sent += 1;
    try {
      if (this.#connected) this.#socket.send(buffer, 0, bytes, this.#onSent);
      else this.#socket.send(buffer, 0, bytes, to.port, to.host, this.#onSent);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.sendErrors += 1;
    this.#handler?.fault(errno(error));
  }

  /** Release the port, after what the kernel has not taken yet. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    // Closing drops queued datagrams, and the last of them is the CONNECTION_CLOSE.
    for (let tries = 0; tries < 50 && this.#socket.getSendQueueCount() > 0; tries += 1) {
      await new Promise(setImmediate);
      if (this.#closed) return;
    }
    this.#closed = true;
    this.#handler = undefined;
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}

const open = (family: 4 | 6): dgram.Socket =>
  dgram.createSocket({
    type: family === 6 ? "udp6" : "udp4",
    // Addresses are resolved already; a lookup per datagram would cost a turn.
    lookup: (host, _options, callback) => callback(null, host, family),
  });

const enlarge = (socket: dgram.Socket): void => {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
  } catch {
    // Slower, not wrong: the kernel's default stays.
  }
};
