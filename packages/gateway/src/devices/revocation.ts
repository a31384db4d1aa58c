/** Cutting a device off. DESIGN section 5, "Revoking". */
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { Lineage } from "../sessions/lineage.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { Store } from "../store/port.ts";
import type { DeviceSelector } from "../store/port-devices.ts";
import type { ReceiptRow } from "../store/rows.ts";
import { newId } from "../tasks/ids.ts";
import type { GatewayTrust } from "../trust.ts";

/** Longest reason that is kept, characters; as in the `revoked` notice. */
const MAX_REASON_CHARACTERS = 256;

/** What a revocation works with. */
export interface RevocationContext {
  readonly store: Store;
  readonly trust: GatewayTrust;
  readonly registry: SessionRegistry;
  readonly lineage: Lineage;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Commit, then distrust, then close: from the commit on nothing of the device is stored, from the next line on no handshake of it succeeds, and when this resolves no
 * session of it is left.
 * @param only revoke only where the device is among these in that transaction
 * @returns the receipt; a repeat returns the same one
 * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_NOT_SELECTED`, `STORE_*`
 */
export async function revokeDevice(
  deviceId: string,
  reason: string,
  context: RevocationContext,
  only?: DeviceSelector,
): Promise<ReceiptRow> {
  const { store, trust, registry, clock, logger, lineage } = context;
  const started = clock.monotonicMs();
  const now = clock.now();
  const kept = reason.slice(0, MAX_REASON_CHARACTERS).toWellFormed();
  const { receipt, repeated, latest } = await store.devices.revoke({
    deviceId,
    receiptId: newId(now),
    reason: kept,
    now,
    ...(only !== undefined && { only }),
  });
  const epoch = receipt.revocationEpoch;
  // No await between these two: a connection is either found here, or looks itself up after the index has changed.
  if (!repeated) trust.revoke(deviceId, epoch);
  const sessions = registry.of(deviceId);
  for (const session of sessions) session.revoke(epoch, kept);
  await Promise.all(sessions.map((session) => session.connection.closed));
  if (repeated) return receipt;
  if (latest === undefined) logger.error({ device: deviceId, epoch }, "a revocation could not be recorded in the log");
  lineage.revoked();
  const closedMs = clock.monotonicMs() - started;
  for (const _ of sessions) registry.count("revoked");
  const finished = await finish(receipt, sessions.length, closedMs, context);
  const { windowsClosed } = receipt;
  logger.warn(
    { device: deviceId, epoch, sessions: sessions.length, closedMs, reason: kept, windowsClosed },
    "device revoked",
  );
  return finished;
}

/** The device is cut off whatever happens here: a store that cannot take the measurements is no reason to say otherwise. */
async function finish(
  receipt: ReceiptRow,
  sessionsClosed: number,
  closedMs: number,
  { store, clock, logger }: RevocationContext,
): Promise<ReceiptRow> {
  const { receiptId, deviceId } = receipt;
  const now = clock.now();
  try {
    return await store.devices.finishRevocation({ receiptId, sessionsClosed, closedMs, now });
  } catch (error) {
    logger.error({ device: deviceId, error }, "the receipt of a revocation could not be completed");
    return { ...receipt, sessionsClosed, closedMs };
  }
}
