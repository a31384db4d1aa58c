/** Revoking many devices at once: by a label, or by when their certificates were issued. */
import { GatewayError } from "../errors.ts";
import type { DeviceSelector } from "../store/port-devices.ts";
import type { ReceiptRow } from "../store/rows.ts";
import { revokeDevice, type RevocationContext } from "./revocation.ts";

/** Revocations under way at once: enough that the store commits them in groups, few enough that the loop stays responsive. */
const AT_ONCE = 32;

/** What a revocation of many did. */
export interface BulkRevocation {
  /** One for each device that was cut off, by this call or by another meanwhile. */
  readonly receipts: readonly ReceiptRow[];
  /** Devices that were selected and no longer were when their turn came: left alone. */
  readonly spared: readonly string[];
}

/**
 * Revoke what `selector` names now. Each device is looked at again in the transaction that revokes it, so one that has renewed or lost its label meanwhile is spared; one that gains
 * it after the call is not among them.
 * @throws {GatewayError} `STORE_*`; devices that were revoked until then stay so, and a repeat goes on
 */
export async function revokeSelected(
  selector: DeviceSelector,
  reason: string,
  context: RevocationContext,
): Promise<BulkRevocation> {
  const waiting = (await context.store.devices.select(selector)).map(({ deviceId }) => deviceId);
  const receipts: ReceiptRow[] = [];
  const spared: string[] = [];
  const work = async (): Promise<void> => {
    for (let deviceId = waiting.shift(); deviceId !== undefined; deviceId = waiting.shift()) {
      try {
        receipts.push(await revokeDevice(deviceId, reason, context, selector));
      } catch (error) {
        if (!(error instanceof GatewayError && error.code === "DEVICE_NOT_SELECTED")) throw error;
        spared.push(deviceId);
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return { receipts: receipts.toSorted((a, b) => a.revocationEpoch - b.revocationEpoch), spared };
}
