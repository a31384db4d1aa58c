import type { SealingKey, Secret } from "@quaymesh/identity";
import type { InheritedSocket, ListenLimits, ListenOptions, SocketAddress, Transport } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { GatewayLimits } from "../core-options.ts";
import type { IngestLimits } from "../events/ingest-gate.ts";
import type { RetentionPolicy } from "../events/log-keeper.ts";
import type { Logger } from "../logger.ts";
import type { PairingDoor } from "../pairing/desk-parts.ts";
import type { PairingLimits } from "../pairing/limits.ts";

/** UDP port of the mesh endpoint when nobody names one. */
export const DEFAULT_MESH_PORT = 7420;
/** UDP port of the pairing endpoint when nobody names one. */
export const DEFAULT_PAIRING_PORT = 7421;
/** Name of a mesh that is made without one. */
export const DEFAULT_MESH_NAME = "quaymesh";

/** Options of {@link Gateway.open}. */
export interface GatewayOptions {
  /** The network the mesh endpoint is on. */
  readonly transport: Transport;
  readonly pairing: GatewayPairingOptions;
  /**
   * The state directory. One that does not exist is made, but not its parents: an unmounted disk must not look like a first start. Default:
   * `defaultStateDirectory()`, made with its parents.
   */
  readonly state?: string;
  /** Names the mesh on its first start; afterwards the name is the root's and this is ignored. Default `quaymesh`. */
  readonly meshName?: string;
  /** What opens the sealed authority. Default: a key file in the state directory, made on the first start. */
  readonly sealingKey?: SealingKey;
  /** Asked for the passphrase of an authority that is sealed with one; a new authority is sealed with it. */
  readonly passphrase?: () => Promise<Secret<string>>;
  /** Where the mesh endpoint listens: one place or several. Default `0.0.0.0:7420`. */
  readonly listen?: ListenOptions["address"];
  /** Serve `/metrics`, `/healthz` and `/readyz` over plain HTTP here, to whoever asks; on the admin socket they always are. Default: nowhere else. */
  readonly metrics?: SocketAddress;
  /** Hosts that nodes are told to dial, in tickets and certificates' answers. Default: see {@link advertisedAddresses}. */
  readonly advertise?: readonly string[];
  /** What the gateway says it is, in its status. Default this package's version. */
  readonly version?: string;
  /**
   * A listening UNIX stream socket that this process inherited, to serve operators on instead of one in the state directory. Who may open it is decided by whoever made it:
   * everyone who may is admin.
   */
  readonly adminSocket?: InheritedSocket;
  readonly limits?: Partial<GatewayLimits>;
  readonly transportLimits?: Partial<ListenLimits>;
  /** How long events, and what has ended, are kept. Default: for ever. */
  readonly retention?: RetentionPolicy;
  /** How fast one device may publish, and how much of the log it may hold. */
  readonly ingest?: Partial<IngestLimits>;
  readonly clock?: Clock;
  /** pino's loggers fit. Default: silent. */
  readonly logger?: Logger;
  /** Aborts the opening, and later stops the gateway as {@link Gateway.stop} does. */
  readonly signal?: AbortSignal;
}

/** Pairing as the composition root sets it up. */
export interface GatewayPairingOptions {
  /**
   * Entry module of the pairing child process. It must do nothing but build a transport and `await runPairingChild(transport)`, from
   * `@quaymesh/gateway/pairing-child`, which holds nothing else of the gateway.
   */
  readonly childModule: URL;
  /** Where the pairing endpoint listens while a window is open. An inherited socket is handed to its process each time. Default: port 7421 on the mesh endpoint's hosts. */
  readonly listen?: ListenOptions["address"];
  /** When the pairing endpoint is open: while a window is (default), or always, for devices that slept past their certificates. */
  readonly door?: PairingDoor;
  /** What the module gets in `process.argv`, after its own name. Default: nothing. */
  readonly childArguments?: readonly string[];
  readonly limits?: Partial<PairingLimits>;
}
