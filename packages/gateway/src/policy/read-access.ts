/** What devices may read now: the policy in force, and whether anything it depends on has changed. */
import { GatewayError } from "../errors.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { PolicyRow } from "../store/port-policies.ts";
import type { Store, StoreChange } from "../store/port.ts";
import { mayRead } from "./may-read.ts";
import { DEFAULT_POLICY, parsePolicy, type Policy } from "./policy.ts";

/** What a reader may see, as of a generation: once {@link ReadAccess.generation} is another, it is to be asked for again. */
export interface Grants {
  readonly generation: number;
  /** Undefined: everything. */
  readonly grants: readonly LogFilter[] | undefined;
}

/**
 * Follows the store: a change is in force before the promise of whoever made it resolves. So what is read under one generation and sent under the same was allowed when it was sent.
 */
export class ReadAccess {
  readonly #store: Store;
  readonly #listeners = new Set<(version: number) => void>();
  #policy: Policy = DEFAULT_POLICY;
  #version = 0;
  #generation = 0;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** @throws {GatewayError} `STORE_CORRUPT` where the stored policy cannot be read: guessing would open or close something */
  static async load(store: Store): Promise<ReadAccess> {
    const access = new ReadAccess(store);
    const row = await store.policies.current();
    if (row !== undefined) access.#adopt(row);
    return access;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** 0: the default, as nobody has set one. */
  get version(): number {
    return this.#version;
  }

  /** Grows with every change of the policy or of the devices. */
  get generation(): number {
    return this.#generation;
  }

  /** The store has committed something. */
  changed({ devices = false, policy }: StoreChange): void {
    if (policy !== undefined && policy.version > this.#version) {
      this.#adopt(policy);
      for (const listener of this.#listeners) listener(this.#version);
    } else if (devices) {
      this.#generation += 1;
    }
  }

  /** Be told of each new version. @returns stop listening */
  listen(listener: (version: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What a device may read, by its labels as they are stored now. Nothing for one that is not known, or revoked. */
  async of(deviceId: string): Promise<Grants> {
    const generation = this.#generation;
    const device = await this.#store.devices.get(deviceId);
    if (device === undefined || device.revoked) return { generation, grants: [] };
    const grants = mayRead(this.#policy, device);
    // Whoever reads everything reads the same as the others who do.
    return { generation, grants: grants.some(isEverything) ? undefined : grants };
  }

  #adopt({ version, body }: PolicyRow): void {
    try {
      this.#policy = parsePolicy(body);
    } catch (cause) {
      throw new GatewayError("STORE_CORRUPT", `policy ${version} cannot be read`, { cause });
    }
    this.#version = version;
    this.#generation += 1;
  }
}

function isEverything({ kinds = [], devices = [], labels = [] }: LogFilter): boolean {
  return kinds.length + devices.length + labels.length === 0;
}
