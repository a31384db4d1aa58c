import { createClient, type Client } from "@connectrpc/connect";
import { DeviceService } from "@quaymesh/api";
import { deviceInfo, receipt, required } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { DeviceInfo, Receipt, RevocationPreview } from "./types.ts";
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
}
