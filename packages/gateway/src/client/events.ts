import { createClient } from "@connectrpc/connect";
import { EventService, type SubscribeResponse } from "@quaymesh/api";
import { eventRecord, quarantinedEvent } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { EventRecord, QuarantinedEvent } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Options of `GatewayClient.events`. */
export interface EventsOptions extends CallOptions {
  /** The first event is the first after this offset; 0 (the default) is the log's beginning. */
  readonly after?: number;
  /** Names the log `after` belongs to; another log is then refused with `LOG_CHANGED`. */
  readonly logId?: string;
  readonly filter?: {
    /** Exact kinds, or prefixes that end in `*`. */
    readonly kinds?: readonly string[];
    /** Device ids. */
    readonly devices?: readonly string[];
  };
  /** Start at the end of the log instead of after `after`. */
  readonly tail?: boolean;
  /** Called whenever nothing up to `offset` is left to send: the cursor may move there even if the filter hid the last events. */
  readonly onCaughtUp?: (position: { readonly offset: number; readonly logId: string }) => void;
}

/** Options of `GatewayClient.quarantined`. */
export interface QuarantinedOptions extends CallOptions {
  /** An id, a unique prefix of one, or a unique name. */
  readonly device?: string;
  /** Default 100, at most 1000. */
  readonly limit?: number;
  /** Only what has a lower id: the next page. */
  readonly beforeId?: number;
}

/** What was set aside, newest first. */
export function quarantined(wire: Wire, options: QuarantinedOptions): Promise<readonly QuarantinedEvent[]> {
  const { device = "", limit = 0, beforeId = 0, ...call } = options;
  const client = createClient(EventService, wire.transport);
  return wire.call(async () => {
    const answer = await client.listQuarantined({ device, limit, beforeId: BigInt(beforeId) }, call);
    return answer.events.map(quarantinedEvent);
  }, options.signal);
}

/** Events replayed and then live, until left or aborted. */
export async function* subscribe(wire: Wire, options: EventsOptions): AsyncGenerator<EventRecord, void, undefined> {
  const client = createClient(EventService, wire.transport);
  const request = {
    after: BigInt(options.after ?? 0),
    logId: options.logId ?? "",
    filter: { kinds: [...(options.filter?.kinds ?? [])], devices: [...(options.filter?.devices ?? [])] },
    tail: options.tail ?? false,
  };
  const batches = wire.stream(
    (signal) => client.subscribe(request, { signal }),
    (message: SubscribeResponse) => message,
    options.signal,
  );
  for await (const batch of batches) {
    for (const event of batch.events) yield eventRecord(event, batch.logId);
    if (batch.caughtUp > 0n) options.onCaughtUp?.({ offset: Number(batch.caughtUp), logId: batch.logId });
  }
}
