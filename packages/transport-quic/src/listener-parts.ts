import type { ListenLimits, ListenOptions } from "@quaymesh/protocol";
import type { BoundSocket } from "./bind.ts";
import type { Binding } from "./binding.ts";
import type { Identification } from "./identification.ts";
import type { Tracer } from "./observe/tracer.ts";
import type { ResolvedOptions } from "./options.ts";
import type { StreamMemory } from "./slabs.ts";

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
  readonly identification: Identification;
  /** What stateless resets hang from; see `ListenOptions.resetSecret`. */
  readonly resetSecret: Uint8Array | string;
  readonly onRefused: ListenOptions["onRefused"];
  /** The largest datagram any of the configurations sends. */
  readonly datagramBytes: number;
  /** Whether the path to this address surely carries datagrams as long as configured. */
  readonly isTrusted: (host: string) => boolean;
}
