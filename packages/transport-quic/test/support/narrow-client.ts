import { randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import { loadBinding } from "../../src/binding.ts";
import type { Binding, HostPort, NativeConnection } from "../../src/binding.ts";
import { buildConfig } from "../../src/config.ts";
import { SERVER_NAME } from "./certificates.ts";
import { PROTOCOL } from "./mesh.ts";
import type { Mesh } from "./mesh.ts";

/** How a {@link NarrowClient} differs from our own dialer. */
export interface NarrowClientOptions {
  /** Bytes of its one connection id; 0: it has none. */
  readonly idBytes: number;
  /** The longest datagram it reads; it announces so in its transport parameters. */
  readonly receiveBytes: number;
}

/** What a client hears on a port it has left. */
export type LeftPort =
  /** The port is gone. */
  | "closed"
  /** What is sent there vanishes. */
  | "dead"
  /** What is sent there still comes in. */
  | "heard";

const LOCAL: HostPort = { host: "127.0.0.1", port: 1 };
const MAX_DATAGRAM_BYTES = 65_535;

/**
 * A client that is none of ours: one connection id or none at all, no spare ones, and a small receive buffer, as other QUIC libraries have them. It changes its
 * port without knowing, as behind a NAT.
 */
export class NarrowClient implements AsyncDisposable {
  readonly #native: NativeConnection;
  readonly #to: HostPort;
  readonly #receiveBytes: number;
  readonly #sockets: dgram.Socket[] = [];
  readonly #left = new Map<dgram.Socket, LeftPort>();
  readonly #out = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #in = new Uint8Array(MAX_DATAGRAM_BYTES);
  #timer: NodeJS.Timeout | undefined;
  #changed = Promise.withResolvers<void>();
  #nextStream = 0;
  readonly #unsent = new Map<number, Buffer>();
  /** Datagrams that were longer than it reads. */
  oversized = 0;

  private constructor(native: NativeConnection, to: HostPort, receiveBytes: number) {
    this.#native = native;
    this.#to = to;
    this.#receiveBytes = receiveBytes;
  }

  /** Connect to the mesh's listener. */
  static async connect(mesh: Mesh, options: NarrowClientOptions): Promise<NarrowClient> {
    const binding = await loadBinding();
    const to = { host: "127.0.0.1", port: mesh.listener.address.port };
    const native = connectNative(binding, mesh, to, options);
    const client = new NarrowClient(native, to, options.receiveBytes);
    await client.rebind("closed");
    client.#pump();
    while (!native.isEstablished()) await client.#change();
    return client;
  }

  /** The port the gateway hears it from. */
  get port(): number {
    return this.#sockets.at(-1)?.address().port ?? 0;
  }

  /** Whether its connection is over. */
  get isOver(): boolean {
    return this.#native.isDraining() || this.#native.isClosed();
  }

  /** From now on send from another port. Sends nothing yet. */
  async rebind(left: LeftPort): Promise<void> {
    const old = this.#sockets.at(-1);
    const socket = dgram.createSocket("udp4");
    socket.bind(0, LOCAL.host);
    await once(socket, "listening");
    socket.setRecvBufferSize(4 << 20);
    socket.on("error", () => undefined);
    socket.on("message", (datagram) => this.#receive(socket, datagram));
    this.#sockets.push(socket);
    if (old === undefined) return;
    this.#left.set(old, left);
    if (left === "closed") await this.#close(old);
  }

  /** Ask for a sign of life, as a keep-alive does. */
  ping(): void {
    this.#native.sendAckEliciting();
    this.#pump();
  }

  /** Open a stream, send `bytes` and its end as there is room. */
  send(bytes: string | Uint8Array): number {
    const id = this.#nextStream;
    this.#nextStream += 4;
    this.#unsent.set(id, Buffer.from(bytes));
    this.#pump();
    return id;
  }

  #write(): void {
    for (const [id, bytes] of this.#unsent) {
      const taken = this.#native.streamSend(id, bytes, true) ?? 0;
      if (taken === bytes.length) this.#unsent.delete(id);
      else this.#unsent.set(id, bytes.subarray(taken));
    }
  }

  /** Read a stream to its end. @param onBytes told how much came so far; when it returns a promise, nothing is read until that is settled */
  async read(id: number, onBytes?: (bytes: number) => Promise<void> | undefined): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const [length, isEnd] = this.#readSome(id);
      if (length > 0) chunks.push(Buffer.from(this.#in.subarray(0, length)));
      bytes += length;
      await onBytes?.(bytes);
      if (isEnd) return Buffer.concat(chunks);
      // What was read may have made room in the window.
      this.#pump();
      if (length === 0) await this.#change();
    }
  }

  #readSome(id: number): [number, boolean] {
    if (this.isOver) throw new Error("the connection is over");
    try {
      return this.#native.streamRecv(id, this.#in) ?? [0, false];
    } catch (error) {
      // quiche knows a stream only once bytes of it came.
      if (error instanceof Error && error.message.includes("InvalidStreamState")) return [0, false];
      throw error;
    }
  }

  #change(): Promise<void> {
    return this.#changed.promise;
  }

  #receive(socket: dgram.Socket, datagram: Buffer): void {
    const left = this.#left.get(socket);
    if (left === "dead" || left === "closed") return;
    // A buffer that is too small cuts a datagram, and what is cut does not decrypt.
    if (datagram.length > this.#receiveBytes) {
      this.oversized += 1;
      return;
    }
    try {
      this.#native.recv(datagram, { from: this.#to, to: LOCAL });
    } catch {
      // Shows as the connection's end.
    }
    this.#pump();
    this.#notify();
  }

  #notify(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }

  #pump(): void {
    if (this.#native.isEstablished() && !this.isOver) this.#write();
    for (;;) {
      const sent = this.#native.send(this.#out);
      if (sent === null) break;
      this.#sockets.at(-1)?.send(Buffer.from(this.#out.subarray(0, sent[0])), this.#to.port, this.#to.host);
    }
    clearTimeout(this.#timer);
    const timeout = this.#native.timeout();
    if (timeout !== null) this.#timer = setTimeout(this.#fire, timeout + 1);
  }

  readonly #fire = (): void => {
    this.#native.onTimeout();
    this.#pump();
    this.#notify();
  };

  async #close(socket: dgram.Socket): Promise<void> {
    const index = this.#sockets.indexOf(socket);
    if (index >= 0) this.#sockets.splice(index, 1);
    const closed = once(socket, "close");
    socket.close();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#native.close(true, 0, Buffer.alloc(0));
    } catch {
      // It is over already.
    }
    this.#pump();
    clearTimeout(this.#timer);
    for (const socket of this.#sockets.splice(0)) await this.#close(socket);
  }
}

const connectNative = (binding: Binding, mesh: Mesh, to: HostPort, options: NarrowClientOptions): NativeConnection => {
  const config = buildConfig(binding, {
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    idleTimeoutMs: 30_000,
    maxStreams: 100,
    datagramBytes: 1200,
    streamWindowBytes: 1 << 20,
    connectionWindowBytes: 2 << 20,
  });
  config.setMaxRecvUdpPayloadSize(options.receiveBytes);
  return binding.Connection.connect(SERVER_NAME, randomBytes(options.idBytes), LOCAL, to, config);
};
