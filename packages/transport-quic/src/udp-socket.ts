import dgram from "node:dgram";
import { once } from "node:events";
import { closeSync } from "node:fs";
import type { HostPort } from "./binding.ts";
import type { IpAddress } from "./address.ts";
import type { Batching } from "./syscalls/batching.ts";
import { bindDescriptor, keepExclusive, openDescriptor } from "./syscalls/descriptor.ts";
import { LARGE_DATAGRAM_BYTES } from "./syscalls/send-batch.ts";
import type { BatchSocket, SendBatch } from "./syscalls/send-batch.ts";

/** A burst of one congestion window must fit, or loopback drops datagrams. */
const SOCKET_BUFFER_BYTES = 4 << 20;

/** Where a datagram came from, as the kernel gave it. */
export interface DatagramSource {
  readonly address: string;
  readonly port: number;
}

/** What a socket hands over. */
export interface UdpHandler {
  /** A datagram came in. Must not throw. The memory is used again once it returns. */
  datagram(datagram: Buffer, from: DatagramSource): void;
  /** The kernel reported an error of an earlier send or a receive, `ECONNREFUSED` for instance. */
  fault(code: string): void;
}

const errno = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : "UNKNOWN");

/** How a socket is set up. */
export interface UdpSocketOptions {
  /** Where this platform has them: the calls that send and receive several datagrams at once. */
  readonly batching?: Batching | undefined;
  /** An IPv6 socket takes no IPv4. */
  readonly isIpv6Only?: boolean;
}

/** A socket of node:dgram and, where its descriptor was made for batching, that. */
interface Opened {
  readonly socket: dgram.Socket;
  readonly fd: number | undefined;
}

/** A UDP socket whose errors are counted, never thrown: the network is allowed to fail. */
export class UdpSocket implements BatchSocket {
  readonly #socket: dgram.Socket;
  readonly local: HostPort;
  readonly family: 4 | 6;
  readonly isConnected: boolean;
  readonly #fd: number;
  readonly #batching: Batching | undefined;
  /** Datagrams that node:dgram gave since {@link UdpSocket.turn}. */
  #inTurn = 0;
  #closed = false;
  #handler: UdpHandler | undefined;
  sent = 0;
  sendErrors = 0;
  received = 0;
  /** UDP payload, either way. */
  sentBytes = 0;
  receivedBytes = 0;

  // One shared function, not a closure per datagram.
  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.refused(errno(error), 1);
  };

  private constructor({ socket, fd }: Opened, isConnected: boolean, batching: Batching | undefined) {
    const address = socket.address();
    this.#socket = socket;
    this.isConnected = isConnected;
    this.family = address.family === "IPv6" ? 6 : 4;
    this.#fd = fd ?? -1;
    this.#batching = fd === undefined ? undefined : batching;
    this.local = { host: address.address, port: address.port };
    // Of a receive: an earlier datagram was refused.
    socket.on("error", (error) => this.refused(errno(error)));
    socket.on("message", this.#onMessage);
  }

  // The first of a turn comes through node:dgram, which also tells that there is one. Where there is a second there are more, and those are taken at once; once a turn only, as libuv goes
  // on to give dozens.
  readonly #onMessage = (datagram: Buffer, from: DatagramSource): void => {
    this.take(datagram, from);
    this.#inTurn += 1;
    if (this.#inTurn !== 2 || this.#closed || this.#batching === undefined) return;
    // Strays begin no turn of a connection.
    setImmediate(this.#nextTurn);
    if (datagram.length < LARGE_DATAGRAM_BYTES) this.#batching.receives.drain(this.#fd, this);
  };

  readonly #nextTurn = (): void => this.turn();

  /** Bind to an address. @throws the system's error */
  static async bind(address: IpAddress, options: UdpSocketOptions = {}): Promise<UdpSocket> {
    const { batching, isIpv6Only = false } = options;
    const socket = open(address.family, isIpv6Only);
    try {
      const fd = batching === undefined ? undefined : bindDescriptor(batching.libc, address, isIpv6Only);
      if (fd === undefined) {
        // Before the call: with an address that needs no lookup the event comes within it.
        const listening = once(socket, "listening");
        socket.bind({ port: address.port, address: address.host, exclusive: true });
        await listening;
      } else handOverOwn(socket, fd, batching);
      enlarge(socket);
      return new UdpSocket({ socket, fd }, false, batching);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Take over a bound socket of this family; it is closed with the result, and left as it is where this fails. @throws the system's error */
  static adopt(fd: number, family: 4 | 6, options: UdpSocketOptions = {}): UdpSocket {
    const { batching } = options;
    const socket = open(family);
    try {
      handOver(socket, fd, batching);
      enlarge(socket);
      return new UdpSocket({ socket, fd: batching === undefined ? undefined : fd }, false, batching);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** A socket that talks to one address only; the kernel then routes once and reports a refused port. @throws the system's error */
  static async connect(address: IpAddress, options: UdpSocketOptions = {}): Promise<UdpSocket> {
    const { batching } = options;
    const socket = open(address.family);
    try {
      const fd = batching === undefined ? undefined : openDescriptor(batching.libc, address.family);
      // Exclusive before the kernel chooses a port: it would take one that another of our sockets has, and only one of the two would hear.
      if (fd !== undefined) handOverOwn(socket, fd, batching);
      const connected = once(socket, "connect");
      socket.connect(address.port, address.host);
      await connected;
      enlarge(socket);
      return new UdpSocket({ socket, fd }, true, batching);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** The descriptor; -1 where nothing is batched, and once the socket is closed. */
  get fd(): number {
    return this.#closed ? -1 : this.#fd;
  }

  /** Where its datagrams are gathered; `undefined`: they are sent one by one. */
  get batch(): SendBatch | undefined {
    return this.#batching?.sends;
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
    this.sentBytes += bytes;
    try {
      if (this.isConnected) this.#socket.send(buffer, 0, bytes, this.#onSent);
      else this.#socket.send(buffer, 0, bytes, to.port, to.host, this.#onSent);
    } catch (error) {
      this.refused(error instanceof Error ? errno(error) : "UNKNOWN", 1, bytes);
    }
  }

  /** A turn is over: what comes next begins another. */
  turn(): void {
    this.#inTurn = 0;
  }

  // BatchSocket, and what takes datagrams in batches

  /** A datagram left in a batch. */
  count(bytes: number): void {
    this.sent += 1;
    this.sentBytes += bytes;
  }

  sendCopy(datagram: Uint8Array, to: HostPort): void {
    // Counted when it was gathered.
    this.sent -= 1;
    this.sentBytes -= datagram.length;
    this.send(Uint8Array.from(datagram), datagram.length, to);
  }

  take(datagram: Buffer, from: DatagramSource): boolean {
    this.received += 1;
    this.receivedBytes += datagram.length;
    this.#handler?.datagram(datagram, from);
    return !this.#closed;
  }

  refused(code: string, datagrams = 0, bytes = 0): void {
    if (this.#closed) return;
    this.sendErrors += datagrams;
    this.sent -= datagrams;
    this.sentBytes -= bytes;
    this.#handler?.fault(code);
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

const open = (family: 4 | 6, ipv6Only = false): dgram.Socket =>
  dgram.createSocket({
    type: family === 6 ? "udp6" : "udp4",
    ipv6Only: ipv6Only,
    // Addresses are resolved already; a lookup per datagram would cost a turn.
    lookup: (host, _options, callback) => callback(null, host, family),
  });

// node:dgram closes the descriptor from then on, unless this throws.
const handOver = (socket: dgram.Socket, fd: number, batching: Batching | undefined): void => {
  socket.bind({ fd, exclusive: true });
  if (batching !== undefined) keepExclusive(batching.libc, fd);
};

const handOverOwn = (socket: dgram.Socket, fd: number, batching: Batching | undefined): void => {
  try {
    handOver(socket, fd, batching);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
};

const enlarge = (socket: dgram.Socket): void => {
  try {
    // An inherited socket may have more than this process could ask for: systemd is not held to the kernel's limit.
    if (socket.getRecvBufferSize() < SOCKET_BUFFER_BYTES) socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    if (socket.getSendBufferSize() < SOCKET_BUFFER_BYTES) socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
  } catch {
    // Slower, not wrong: the kernel's default stays.
  }
};
