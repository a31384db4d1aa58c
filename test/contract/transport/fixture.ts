/** What the contract's tests share: a listener and dialers that are all closed at the end of a test. */
import { expect } from "vitest";
import {
  TransportError,
  type Authorize,
  type ByteStream,
  type CloseInfo,
  type Connection,
  type Credentials,
  type DialOptions,
  type Listener,
  type ListenLimits,
  type ListenOptions,
  type SocketAddress,
} from "@quaymesh/protocol";
import type { TransportUnderTest } from "../transport.ts";

const PROTOCOL = "quaymesh-contract/1";

/** Gives the transport under test; see `describeTransportContract`. */
export type Setup = () => Promise<TransportUnderTest>;

/** One test's transport, with defaults for everything a test does not speak of. */
export class Bench implements AsyncDisposable {
  readonly under: TransportUnderTest;
  readonly #cleanup = new AsyncDisposableStack();

  private constructor(under: TransportUnderTest) {
    this.under = under;
    this.#cleanup.defer(async () => under.dispose?.());
  }

  static async open(setup: Setup): Promise<Bench> {
    return new Bench(await setup());
  }

  async listen(options?: {
    readonly authorize?: Authorize;
    readonly limits?: Partial<ListenLimits>;
    readonly onRefused?: ListenOptions["onRefused"];
    readonly address?: ListenOptions["address"];
    readonly signal?: AbortSignal;
  }): Promise<Listener> {
    const { transport, host, server, anchorsPem } = this.under;
    const authorize = options?.authorize;
    return this.#cleanup.use(
      await transport.listen({
        address: options?.address ?? { host, port: 0 },
        protocol: PROTOCOL,
        credentials: server,
        trust: { kind: "anchored", anchorsPem, ...(authorize && { authorize }) },
        ...(options?.limits && { limits: options.limits }),
        ...(options?.onRefused && { onRefused: options.onRefused }),
        ...(options?.signal && { signal: options.signal }),
      }),
    );
  }

  /** What to dial for a bound address. */
  reachable({ host, port }: SocketAddress): SocketAddress {
    return { host: this.under.dialHost !== undefined && host === this.under.host ? this.under.dialHost : host, port };
  }

  async dial(
    address: SocketAddress,
    options?: { readonly credentials?: Credentials; readonly authorize?: Authorize } & Partial<
      Pick<DialOptions, "protocol" | "signal" | "handshakeTimeoutMs">
    >,
  ): Promise<Connection> {
    const { transport, client, serverName, anchorsPem } = this.under;
    const authorize = options?.authorize;
    return this.#cleanup.use(
      await transport.dial(this.reachable(address), {
        protocol: options?.protocol ?? PROTOCOL,
        serverName,
        credentials: options?.credentials ?? client,
        trust: { kind: "anchored", anchorsPem, ...(authorize && { authorize }) },
        ...(options?.signal && { signal: options.signal }),
        ...(options?.handshakeTimeoutMs !== undefined && { handshakeTimeoutMs: options.handshakeTimeoutMs }),
      }),
    );
  }

  /** A listener, and both ends of a connection to it. */
  async connect(
    limits?: Partial<ListenLimits>,
  ): Promise<{ listener: Listener; client: Connection; server: Connection }> {
    const listener = await this.listen(limits && { limits });
    const [client, server] = await Promise.all([this.dial(listener.address), nextConnection(listener)]);
    return { listener, client, server };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** The next connection a listener accepts. */
export async function nextConnection(listener: Listener): Promise<Connection> {
  const next = await listener[Symbol.asyncIterator]().next();
  if (next.done === true) throw new Error("the listener closed");
  return next.value;
}

/** The next stream the peer opens. */
export async function nextStream(connection: Connection): Promise<ByteStream> {
  const next = await connection.incomingStreams[Symbol.asyncIterator]().next();
  if (next.done === true) throw new Error("the connection closed");
  return next.value;
}

/** Everything until the peer ends. */
export async function readAll(stream: ByteStream): Promise<Uint8Array> {
  // Kept, not copied: a transport that reuses what it gave out is found here.
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) {
    expect(chunk.length).toBeGreaterThan(0);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Exactly so many bytes. */
export async function readExactly(stream: ByteStream, count: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let missing = count;
  while (missing > 0) {
    const chunk = await stream.read();
    if (chunk === null) throw new Error(`the stream ended ${missing} bytes early`);
    chunks.push(chunk);
    missing -= chunk.length;
  }
  expect(missing).toBe(0);
  return Buffer.concat(chunks);
}

/** Answer every stream with what came in, until the connection closes. Ends each with its last bytes. */
export async function echo(connection: Connection): Promise<void> {
  const served: Promise<void>[] = [];
  for await (const stream of connection.incomingStreams) served.push(echoStream(stream));
  await Promise.allSettled(served);
}

async function echoStream(stream: ByteStream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk);
  await stream.end();
}

/** Send `bytes` on a new stream, end it, and give back the whole answer. */
export async function ask(connection: Connection, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = await connection.openStream();
  const [answer] = await Promise.all([readAll(stream), stream.end(bytes)]);
  return answer;
}

/** `length` bytes that tell their position. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >>> 8) * 7 + seed) & 0xff;
  return bytes;
}

/** The error of something that must fail as a transport fails. */
export async function transportError(run: () => unknown): Promise<TransportError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof TransportError) return error;
    throw error;
  }
  throw new Error("expected a TransportError, and nothing was thrown");
}

/**
 * How a dial that must not succeed ended. A TLS 1.3 client may believe itself connected before it is refused, so both
 * forms count: a rejection that carries the close, and a connection that closes.
 */
export async function refusalOf(dial: Promise<Connection>): Promise<CloseInfo> {
  let connection: Connection;
  try {
    connection = await dial;
  } catch (error) {
    if (error instanceof TransportError && error.code === "CONNECTION_CLOSED" && error.close) return error.close;
    throw error;
  }
  return connection.closed;
}
