import type { Credentials, ListenLimits, ListenOptions, PeerTrust } from "@quaymesh/protocol";
import type { BoundSocket } from "./bind.ts";
import type { Binding, NativeConfig } from "./binding.ts";
import type { Tracer } from "./observe/tracer.ts";
import type { ResolvedOptions } from "./options.ts";
import type { StreamMemory } from "./slabs.ts";

/** Whom a listener shows and whom it believes. */
export interface Identification {
  readonly credentials: Credentials;
  readonly trust: PeerTrust;
}

/** What a listener is made of. */
export interface ListenerParts {
  readonly binding: Binding;
  /** One at least. Released with the listener. */
  readonly sockets: readonly BoundSocket[];
  readonly options: ResolvedOptions;
  readonly memory: StreamMemory;
  /** Closes the listener. */
  readonly signal: AbortSignal | undefined;
  readonly limits: ListenLimits;
  readonly tracer: Tracer | undefined;
  readonly trust: PeerTrust;
  readonly credentials: Credentials;
  readonly resetSecret: Uint8Array | undefined;
  readonly onRefused: ListenOptions["onRefused"];
  /** The largest datagram any of the configurations sends. */
  readonly datagramBytes: number;
  /** Whether the path to this address surely carries datagrams as long as configured. */
  readonly isTrusted: (host: string) => boolean;
  /** The configuration for a client at this address. */
  readonly configFor: (host: string) => NativeConfig;
  /** {@link ListenerParts.configFor} for other credentials or anchors. @throws {TransportError} `CREDENTIALS_INVALID` */
  readonly configure: (shown: Identification) => (host: string) => NativeConfig;
}
