import type { StandardSchemaV1 } from "@standard-schema/spec";
import { createClient } from "@connectrpc/connect";
import { GatewayService } from "@quaymesh/api";
import type { SealedWith } from "@quaymesh/identity";
import { defaultStateDirectory, stateLayout } from "../daemon/state-directory.ts";
import { gatewayDiagnosis } from "./decode-diagnosis.ts";
import { gatewayStats } from "./decode-stats.ts";
import { gatewayStatus } from "./decode.ts";
import { Devices } from "./devices.ts";
import { subscribe, type EventsOptions, type EventStream } from "./events.ts";
import { Mesh } from "./mesh.ts";
import { Policies } from "./policy.ts";
import { Pairing } from "./pairing.ts";
import { quarantined, type QuarantinedOptions } from "./quarantined.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { CallOptions } from "./task-handle.ts";
import { Tasks } from "./tasks.ts";
import type { GatewayStats, GatewayStatus, QuarantinedEvent } from "./types.ts";
import type { GatewayDiagnosis } from "./types-diagnosis.ts";
import { openWire, type Wire } from "./wire.ts";

/** Options of {@link connect}. */
export interface ConnectOptions extends CallOptions {
  /** The gateway's state directory. Default: {@link defaultStateDirectory}. */
  readonly state?: string;
  /** The admin socket itself, instead of the one in `state`. */
  readonly socket?: string;
}

/** A connected operator. Disposing ends the calls under way. */
export class GatewayClient implements AsyncDisposable {
  readonly pairing: Pairing;
  readonly devices: Devices;
  readonly mesh: Mesh;
  readonly tasks: Tasks;
  /** Durable subscriptions. */
  readonly subscriptions: Subscriptions;
  /** Who may read what of the event log. */
  readonly policy: Policies;
  readonly #wire: Wire;

  /** Use {@link connect}. */
  constructor(wire: Wire) {
    this.#wire = wire;
    this.pairing = new Pairing(wire);
    this.devices = new Devices(wire);
    this.mesh = new Mesh(wire);
    this.tasks = new Tasks(wire);
    this.subscriptions = new Subscriptions(wire);
    this.policy = new Policies(wire);
  }

  /** @throws {ClientError} */
  status(options?: CallOptions): Promise<GatewayStatus> {
    const client = createClient(GatewayService, this.#wire.transport);
    return this.#wire.call(async () => gatewayStatus(await client.getStatus({}, options)), options?.signal);
  }

  /** Counters and gauges. @throws {ClientError} */
  stats(options?: CallOptions): Promise<GatewayStats> {
    const client = createClient(GatewayService, this.#wire.transport);
    return this.#wire.call(async () => gatewayStats(await client.getStats({}, options)), options?.signal);
  }

  /** What only the running gateway knows of itself. @throws {ClientError} */
  diagnosis(options?: CallOptions): Promise<GatewayDiagnosis> {
    const client = createClient(GatewayService, this.#wire.transport);
    return this.#wire.call(async () => gatewayDiagnosis(await client.getDiagnosis({}, options)), options?.signal);
  }

  /**
   * The event log after a cursor, replayed and then live, over restarts of the gateway. Leaving the loop ends the subscription.
   * @throws {ClientError} `RESUME_COMPACTED` (`metadata.earliest`), `RESUME_FUTURE`, `LOG_CHANGED`, `CURSOR_INVALID`, `EVENT_INVALID`, of a durable one `SUBSCRIPTION_*`;
   * `GATEWAY_GONE` and `GATEWAY_UNREACHABLE` at the start or without `reconnect`; rethrows `signal.reason`
   */
  events<S extends StandardSchemaV1 = StandardSchemaV1>(
    options: EventsOptions<S> = {},
  ): EventStream<StandardSchemaV1.InferOutput<S>> {
    return subscribe(this.#wire, options);
  }

  /** Events that were set aside because others had been stored under their sequences; newest first. @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  quarantined(options: QuarantinedOptions = {}): Promise<readonly QuarantinedEvent[]> {
    return quarantined(this.#wire, options);
  }

  /**
   * A backup of everything, keys included, as the bytes of a sealed file; `writeBackup` of the gateway package puts it on disk and checks it.
   * @throws {ClientError} `AUTHORITY_UNREADABLE`, `STORE_*`, `GATEWAY_GONE`
   */
  backup(sealing: SealedWith, options?: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const client = createClient(GatewayService, this.#wire.transport);
    const { key, parameters } = sealing;
    const request = { key: key.key.reveal(), ...(parameters && { passphrase: parameters }) };
    return this.#wire.stream(
      (signal) => client.backup(request, { signal }),
      ({ bytes }) => bytes,
      options?.signal,
    );
  }

  /** Drain sessions and stop the gateway. Resolves when it has begun. @throws {ClientError} */
  shutdown(options?: CallOptions): Promise<void> {
    const client = createClient(GatewayService, this.#wire.transport);
    return this.#wire.call(async () => {
      await client.shutdown({}, options);
    }, options?.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wire.close();
    await Promise.resolve();
  }
}

/**
 * Connect to a gateway through its admin socket, and make sure that it answers.
 * @throws {ClientError} `GATEWAY_UNREACHABLE`, `PERMISSION_DENIED`; rethrows `signal.reason`
 */
export async function connect(options: ConnectOptions = {}): Promise<GatewayClient> {
  const socket = options.socket ?? stateLayout(options.state ?? defaultStateDirectory()).adminSocket;
  const client = new GatewayClient(openWire(socket));
  try {
    await client.status(options);
    return client;
  } catch (cause) {
    await client[Symbol.asyncDispose]();
    throw cause;
  }
}
