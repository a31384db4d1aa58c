import type { ServiceImpl } from "@connectrpc/connect";
import type { DeviceService } from "@quaymesh/api";
import type { DeviceService as Devices } from "../devices/service.ts";
import { deviceMessage, receiptMessage } from "./encode.ts";

/** `quaymesh.v1.DeviceService` on the core's devices. */
export function deviceHandler(devices: Devices): ServiceImpl<typeof DeviceService> {
  return {
    async listDevices() {
      return { devices: (await devices.list()).map(deviceMessage) };
    },
    async getDevice({ device }) {
      return { device: deviceMessage(await devices.get(device)) };
    },
    async previewRevocation({ device }) {
      const preview = await devices.previewRevocation(device);
      return { ...preview, device: deviceMessage(preview.device) };
    },
    async revokeDevice({ device, reason }) {
      return { receipt: receiptMessage(await devices.revoke(device, { reason })) };
    },
  };
}
