import { createClient } from "@connectrpc/connect";
import { EventService } from "@quaymesh/api";
import { quarantinedEvent } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { QuarantinedEvent } from "./types.ts";
import type { Wire } from "./wire.ts";

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
