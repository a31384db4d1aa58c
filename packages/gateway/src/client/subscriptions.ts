import { createClient } from "@connectrpc/connect";
import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { EventService, type Subscription } from "@quaymesh/api";
import type { EventsFilter } from "./events.ts";
import type { CallOptions } from "./task-handle.ts";
import type { Wire } from "./wire.ts";

/** A durable subscription. */
export interface SubscriptionInfo {
  readonly name: string;
  /** Whose it is; undefined for the operators'. */
  readonly deviceId: string | undefined;
  readonly filter: EventsFilter;
  readonly createdBy: string;
  readonly createdAt: number | undefined;
  readonly lastSeenAt: number | undefined;
  /** Everything up to this offset is acknowledged. */
  readonly acked: number;
  /** Events in the log behind the cursor, whatever the filter. */
  readonly pending: number;
  /** Somebody reads it now. */
  readonly held: boolean;
  readonly quota: { readonly maxAgeMs: number; readonly maxEvents: number; readonly maxBytes: number };
  /** It exceeded its quota, and holds nothing back any more. */
  readonly lapsed: { readonly at: number; readonly by: string } | undefined;
}

/** Durable subscriptions; `GatewayClient.events` with `durable` makes and reads them. */
export class Subscriptions {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Of operators and devices. @throws {ClientError} */
  async list(options?: CallOptions): Promise<readonly SubscriptionInfo[]> {
    const client = createClient(EventService, this.#wire.transport);
    const call = async () => (await client.listSubscriptions({}, options)).subscriptions;
    return (await this.#wire.call(call, options?.signal)).map(subscriptionInfo);
  }

  /** Remove the operators' subscription `name`, or that of a device. Its consumer is told. @throws {ClientError} `SUBSCRIPTION_NOT_FOUND` */
  async remove(name: string, options: CallOptions & { readonly device?: string } = {}): Promise<void> {
    const client = createClient(EventService, this.#wire.transport);
    const { signal, device = "" } = options;
    const request = { name, deviceId: device };
    await this.#wire.call(() => client.removeSubscription(request, signal === undefined ? {} : { signal }), signal);
  }
}

function subscriptionInfo(message: Subscription): SubscriptionInfo {
  const { name, createdBy, held, quota, filter } = message;
  const { kinds = [], devices = [], labels = [] } = filter ?? {};
  const lapsedAt = timeOf(message.lapsedAt);
  return {
    name,
    createdBy,
    held,
    deviceId: message.deviceId === "" ? undefined : message.deviceId,
    filter: {
      ...(kinds.length > 0 && { kinds }),
      ...(devices.length > 0 && { devices }),
      ...(labels.length > 0 && { labels }),
    },
    createdAt: timeOf(message.createdAt),
    lastSeenAt: timeOf(message.lastSeenAt),
    acked: Number(message.acked),
    pending: Number(message.pending),
    quota: {
      maxAgeMs: Number(quota?.maxAgeMs ?? 0n),
      maxEvents: Number(quota?.maxEvents ?? 0n),
      maxBytes: Number(quota?.maxBytes ?? 0n),
    },
    lapsed: lapsedAt === undefined ? undefined : { at: lapsedAt, by: message.lapsedBy },
  };
}

function timeOf(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : timestampMs(time);
}
