import { GatewayError } from "../errors.ts";
import type { GatewayOptions } from "./options.ts";

/** A running gateway: mesh endpoint, pairing, store and the admin socket. */
export class Gateway implements AsyncDisposable {
  /** Settles when the gateway has stopped: by {@link Gateway.stop}, its signal, or the `Shutdown` call. Rejects where something it lives on broke. */
  readonly stopped: Promise<void>;

  private constructor() {
    this.stopped = Promise.resolve();
  }

  /**
   * Start a gateway. The first start makes the mesh's authority; a start that fails or is killed leaves nothing that hinders the next.
   * @throws {GatewayError} `STATE_*`, `GATEWAY_ALREADY_RUNNING`, `AUTHORITY_*`, `STORE_*`, `PORT_IN_USE`, `ADDRESS_UNAVAILABLE`,
   * `TRANSPORT_UNAVAILABLE`, `ADMIN_SOCKET_*`; rethrows `signal.reason`
   */
  static open(_options: GatewayOptions): Promise<Gateway> {
    return Promise.reject(new GatewayError("GATEWAY_INTERNAL", "not assembled yet"));
  }

  /** The mesh's id: 16 characters. */
  readonly meshId: string = "";
  /** What people call the mesh. */
  readonly meshName: string = "";
  /** The state directory, absolute. */
  readonly state: string = "";
  /** Path of the admin socket. */
  readonly adminSocket: string = "";
  /** Where nodes dial, host:port. */
  readonly addresses: readonly string[] = [];

  /** Resolves once the gateway has stopped; stops it when `signal` aborts. */
  async run(_options?: { readonly signal?: AbortSignal }): Promise<void> {
    await this.stopped;
  }

  /**
   * Stop: nodes are told when to come back, calls end, everything is committed, and the state is let go. Idempotent.
   * @param options.retryAfterMs what nodes are told; default 1000
   */
  async stop(_options?: { readonly retryAfterMs?: number }): Promise<void> {
    await this.stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
