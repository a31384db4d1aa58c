import type { Credentials } from "@quaymesh/protocol";

/** TLS material of one end: every system verifies the other's chain against the same root. */
export interface TlsMaterial extends Credentials {
  readonly rootPem: string;
  /** The DNS name in the server's certificate. */
  readonly serverName: string;
}

/** How large a datagram may be: the transport's own choice, or held to 1350 bytes. TCP has one way only. */
export type Datagrams = "default" | "1350";

/** Ports a server listens on, by {@link Datagrams}; a system over TCP names one port twice. */
export type Ports = Readonly<Record<Datagrams, number>>;

/** A server that answers unary requests and counts streams until it is disposed. */
export interface BenchServer extends AsyncDisposable {
  readonly ports: Ports;
  /** Connections it holds now. */
  connections(): number | Promise<number>;
}

/** One stream to the server, one way. */
export interface Sink {
  /** A promise means: no room, wait for it. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** End the stream; resolves to what the server counted, events or bytes. */
  finish(): Promise<number>;
}

/** A connection to the server. */
export interface BenchClient extends AsyncDisposable {
  /** One request and its answer, checked, on a stream of its own. */
  unary(): Promise<void>;
  /** Each write is the CBOR of one event; the system frames it its own way. */
  openEvents(): Promise<Sink>;
  /** Each write is a chunk of bytes. */
  openBulk(): Promise<Sink>;
}

/** Opens a connection: resolves once a request can be sent. */
export type Dial = () => Promise<BenchClient>;

/** Enrolled devices that a client process plays. */
export interface Devices {
  /** Where their credentials are. */
  readonly file: string;
  /** The first of them that is this process's. */
  readonly first: number;
}

/** What a server has besides its certificate. */
export interface ServeOptions {
  readonly tls: TlsMaterial;
  /** The directory of a gateway's state. */
  readonly state: string | null;
}

/** What a client has besides its certificate. */
export interface DialerOptions {
  readonly tls: TlsMaterial;
  readonly ports: Ports;
  readonly devices: Devices | null;
}

/** A transport under measurement, or what is built on one. */
export interface System {
  serve(options: ServeOptions): Promise<BenchServer>;
  /** Prepares what a process shares between its connections (a TLS context, a transport). */
  dialer(options: DialerOptions): (datagrams: Datagrams) => Dial;
}
