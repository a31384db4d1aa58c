import { createClient, type Client } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeviceService, RotationState } from "@quaymesh/api";
import { deviceInfo, named, receipt, required } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { BulkReceipt, DeviceInfo, DeviceSelector, Receipt, RevocationPreview, RotationResult } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Paired devices. `device` is an id, a unique prefix of one, or a unique name. */
export class Devices {
  readonly #wire: Wire;
  readonly #client: Client<typeof DeviceService>;

  /** Use `connect`. */
  constructor(wire: Wire) {
    this.#wire = wire;
    this.#client = createClient(DeviceService, wire.transport);
  }

  /** All of them, revoked ones too. @throws {ClientError} */
  list(options?: CallOptions): Promise<readonly DeviceInfo[]> {
    return this.#wire.call(async () => {
      const answer = await this.#client.listDevices({}, options);
      return answer.devices.map(deviceInfo);
    }, options?.signal);
  }

  /** @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  get(device: string, options?: CallOptions): Promise<DeviceInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.getDevice({ device }, options);
      return deviceInfo(required(answer.device, "device"));
    }, options?.signal);
  }

  /** What {@link Devices.revoke} would cut; changes nothing. @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  previewRevocation(device: string, options?: CallOptions): Promise<RevocationPreview> {
    return this.#wire.call(async () => {
      const answer = await this.#client.previewRevocation({ device }, options);
      return {
        device: deviceInfo(required(answer.device, "device")),
        sessions: answer.sessions,
        runningTasks: answer.runningTasks,
        queuedTasks: answer.queuedTasks,
      };
    }, options?.signal);
  }

  /** Cut the device off now; a repeat returns the same receipt. @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  revoke(device: string, options?: CallOptions & { readonly reason?: string }): Promise<Receipt> {
    return this.#wire.call(async () => {
      const request = { device, reason: options?.reason ?? "" };
      const answer = await this.#client.revokeDevice(request, options);
      return receipt(required(answer.receipt, "receipt"));
    }, options?.signal);
  }

  /** Let a frozen device come back. @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED`, `DEVICE_NOT_FROZEN` */
  unfreeze(device: string, options?: CallOptions): Promise<DeviceInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.unfreezeDevice({ device }, options);
      return deviceInfo(required(answer.device, "device"));
    }, options?.signal);
  }

  /** What {@link Devices.revokeMany} would cut, device by device; changes nothing. @throws {ClientError} `REQUEST_INVALID` */
  previewRevocations(selector: DeviceSelector, options?: CallOptions): Promise<readonly RevocationPreview[]> {
    return this.#wire.call(async () => {
      const answer = await this.#client.previewRevocations({ selector: selectorMessage(selector) }, options);
      return answer.devices.map(({ device, sessions, runningTasks, queuedTasks }) => ({
        device: deviceInfo(required(device, "device")),
        sessions,
        runningTasks,
        queuedTasks,
      }));
    }, options?.signal);
  }

  /**
   * Cut off every device the selector names now; each is looked at again as it is revoked. A repeat goes on where one failed.
   * @throws {ClientError} `REQUEST_INVALID`, `STORE_*`
   */
  revokeMany(selector: DeviceSelector, options?: CallOptions & { readonly reason?: string }): Promise<BulkReceipt> {
    return this.#wire.call(async () => {
      const request = { selector: selectorMessage(selector), reason: options?.reason ?? "" };
      const { receipts, spared } = await this.#client.revokeDevices(request, options);
      return { receipts: receipts.map(receipt), spared };
    }, options?.signal);
  }

  /** Have the device take another certificate now; waits for it 15 s at most. @throws {ClientError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED` */
  rotate(device: string, options?: CallOptions): Promise<RotationResult> {
    return this.#wire.call(async () => {
      const { state } = await this.#client.rotateDevice({ device }, options);
      return { state: named(ROTATIONS, state, "rotation state") };
    }, options?.signal);
  }
}

const ROTATIONS: ReadonlyMap<RotationState, RotationResult["state"]> = new Map([
  [RotationState.ROTATED, "rotated"],
  [RotationState.PENDING_OFFLINE, "pending-offline"],
  [RotationState.PENDING_SILENT, "pending-silent"],
]);

function selectorMessage(selector: DeviceSelector) {
  if ("label" in selector) return { by: { case: "label" as const, value: selector.label } };
  return { by: { case: "issuedBefore" as const, value: timestampFromMs(selector.issuedBefore) } };
}
