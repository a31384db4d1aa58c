import { createQuicTransport } from "@quaymesh/transport-quic";
import type { QuicTransportOptions } from "@quaymesh/transport-quic";
import type {
  Authorize,
  ByteStream,
  Connection,
  Credentials,
  DialOptions,
  Listener,
  ListenLimits,
  ListenOptions,
  Transport,
} from "@quaymesh/protocol";
import { SERVER_AUTH, SERVER_NAME, createAuthority } from "./certificates.ts";
import type { TestAuthority } from "./certificates.ts";

/** ALPN of the tests. */
export const PROTOCOL = "quaymesh/1";

/** What {@link openMesh} takes. */
export interface MeshOptions {
  readonly host?: string;
  readonly transport?: QuicTransportOptions;
  readonly limits?: Partial<ListenLimits>;
  readonly authorize?: Authorize;
  readonly resetSecret?: Uint8Array;
  readonly onRefused?: ListenOptions["onRefused"];
}

/** A listening gateway and what a node needs to dial it. */
export interface Mesh extends AsyncDisposable {
  readonly authority: TestAuthority;
  readonly transport: Transport;
  readonly listener: Listener;
  readonly node: Credentials;
  dial(options?: Partial<DialOptions> & { readonly host?: string; readonly port?: number }): Promise<Connection>;
}

let shared: Promise<{ authority: TestAuthority; gateway: Credentials; node: Credentials }> | undefined;

const credentials = async (): Promise<{ authority: TestAuthority; gateway: Credentials; node: Credentials }> => {
  const authority = await createAuthority();
  const gateway = await authority.issue("gateway", { usage: SERVER_AUTH });
  return { authority, gateway, node: await authority.issue("node") };
};

/** Listen on loopback with fresh credentials. */
export async function openMesh(options: MeshOptions = {}): Promise<Mesh> {
  shared ??= credentials();
  const { authority, gateway, node } = await shared;
  const transport = createQuicTransport(options.transport);
  const host = options.host ?? "127.0.0.1";
  const { anchorsPem } = authority;
  const listener = await transport.listen({
    address: { host, port: 0 },
    protocol: PROTOCOL,
    credentials: gateway,
    trust: {
      kind: "anchored",
      anchorsPem,
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
    },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.resetSecret === undefined ? {} : { resetSecret: options.resetSecret }),
    ...(options.onRefused === undefined ? {} : { onRefused: options.onRefused }),
  });
  const dialed: Connection[] = [];
  return {
    authority,
    transport,
    listener,
    node,
    dial: async ({ host: dialHost = host, port, ...overrides } = {}) => {
      const connection = await transport.dial(
        { host: dialHost, port: port ?? listener.address.port },
        {
          protocol: PROTOCOL,
          serverName: SERVER_NAME,
          credentials: node,
          trust: { kind: "anchored", anchorsPem },
          ...overrides,
        },
      );
      dialed.push(connection);
      return connection;
    },
    [Symbol.asyncDispose]: async () => {
      for (const connection of dialed) await connection[Symbol.asyncDispose]();
      await listener.close();
    },
  };
}

/** The next connection a listener accepts. */
export async function accept(listener: Listener): Promise<Connection> {
  for await (const connection of listener) return connection;
  throw new Error("the listener closed");
}

/** The next stream the peer opens; later ones are still accepted. */
export async function nextStream(connection: Connection): Promise<ByteStream> {
  const next = await connection.incomingStreams[Symbol.asyncIterator]().next();
  if (next.done === true) throw new Error("the connection closed");
  return next.value;
}

/** Everything up to the peer's end. */
export async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/** Answer every stream with what came in. Ends with the connection. */
export async function serveEcho(connection: Connection): Promise<void> {
  const served: Promise<unknown>[] = [];
  for await (const stream of connection.incomingStreams) {
    served.push(readAll(stream).then((bytes) => stream.end(bytes)));
  }
  await Promise.allSettled(served);
}

/** Echo on every connection until the listener closes. */
export async function serveEchoOnAll(listener: Listener): Promise<void> {
  const served: Promise<void>[] = [];
  for await (const connection of listener) served.push(serveEcho(connection));
  await Promise.allSettled(served);
}

/** Send `bytes` on a new stream and give the answer. */
export async function ask(connection: Connection, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = await connection.openStream();
  await stream.end(bytes);
  return readAll(stream);
}
