/** Setting a device aside until an operator has decided: two hold its key, or an old copy of its state was put back. Neither holder gets in. */
import { encodeValue } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { Store } from "../store/port.ts";
import type { GatewayTrust } from "../trust.ts";

/** Kind of the event that records it. */
const FROZEN_EVENT = "mesh.device.frozen";

/** What freezing works with. */
export interface FreezingContext {
  readonly store: Store;
  readonly trust: GatewayTrust;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The store has committed that a device is frozen: refuse it in the handshake from here on, and close what it has open, of either holder.
 * @param from where the hello came from that gave it away, host:port
 */
export async function freezeDevice(deviceId: string, from: string, context: FreezingContext): Promise<void> {
  const { store, trust, registry, clock, logger } = context;
  // No await between these two: a connection is either found here, or looks itself up after the index has changed.
  trust.freeze(deviceId);
  const sessions = registry.of(deviceId);
  const others = sessions.filter(({ open }) => open !== undefined).map(({ remoteAddress }) => remoteAddress);
  for (const session of sessions) session.feed({ kind: "freeze", now: clock.monotonicMs() });
  logger.error(
    { verdict: "frozen", device: deviceId, from, others },
    "a device is frozen: two hold its key, or an old copy of its state was put back",
  );
  const data = encodeValue({ from, others });
  await store.events
    .record({ deviceId, kind: FROZEN_EVENT, data, now: clock.now() })
    .catch((error: unknown) => logger.warn({ device: deviceId, error }, "a frozen device could not be recorded"));
}
