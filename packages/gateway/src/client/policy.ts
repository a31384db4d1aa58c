import { createClient } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { PolicyService, type Policy } from "@quaymesh/api";
import type { EventsFilter } from "./events.ts";
import type { CallOptions } from "./task-handle.ts";
import type { Wire } from "./wire.ts";

/** A version of the policy. */
export interface PolicyInfo {
  /** 0 is the default, which nobody set. */
  readonly version: number;
  /** JSON. */
  readonly body: string;
  readonly setBy: string;
  readonly setAt: number | undefined;
}

/** What a device may read. */
export interface PolicyAccess {
  readonly deviceId: string;
  readonly deviceName: string;
  readonly labels: readonly string[];
  /** One of these must pass an event; none: nothing. */
  readonly grants: readonly EventsFilter[];
}

/** Who may read what of the event log. */
export class Policies {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** The one in force. @throws {ClientError} */
  async get(options?: CallOptions): Promise<PolicyInfo> {
    const client = createClient(PolicyService, this.#wire.transport);
    const call = async () => (await client.getPolicy({}, options)).policy;
    return policyInfo(await this.#wire.call(call, options?.signal));
  }

  /** Versions that were set, newest first. @throws {ClientError} */
  async history(limit: number, options?: CallOptions): Promise<readonly PolicyInfo[]> {
    const client = createClient(PolicyService, this.#wire.transport);
    const call = async () => (await client.getPolicy({ history: limit }, options)).history;
    return (await this.#wire.call(call, options?.signal)).map(policyInfo);
  }

  /**
   * Put a policy in force in place of version `expected`.
   * @throws {ClientError} `POLICY_INVALID`, `POLICY_CHANGED`
   */
  async set(body: string, expected: number, options?: CallOptions): Promise<PolicyInfo> {
    const client = createClient(PolicyService, this.#wire.transport);
    const call = async () => (await client.setPolicy({ body, expected: BigInt(expected) }, options)).policy;
    return policyInfo(await this.#wire.call(call, options?.signal));
  }

  /** What a device may read, by the policy in force or by `body`. @throws {ClientError} `DEVICE_NOT_FOUND`, `POLICY_INVALID` */
  async check(device: string, options: CallOptions & { readonly body?: string } = {}): Promise<PolicyAccess> {
    const client = createClient(PolicyService, this.#wire.transport);
    const { signal, body = "" } = options;
    const answer = await this.#wire.call(
      () => client.previewPolicy({ device, body }, signal === undefined ? {} : { signal }),
      signal,
    );
    const { deviceId, deviceName, labels } = answer;
    return { deviceId, deviceName, labels, grants: answer.grants.map(filterOf) };
  }
}

function filterOf({ kinds, devices, labels }: Required<EventsFilter>): EventsFilter {
  return {
    ...(kinds.length > 0 && { kinds }),
    ...(devices.length > 0 && { devices }),
    ...(labels.length > 0 && { labels }),
  };
}

function policyInfo(policy: Policy | undefined): PolicyInfo {
  const { version = 0n, body = "", setBy = "", setAt } = policy ?? {};
  return { version: Number(version), body, setBy, setAt: setAt === undefined ? undefined : timestampMs(setAt) };
}
