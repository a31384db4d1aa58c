import type { ServiceImpl } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { RotationState, type DeviceSelector as SelectorMessage, type DeviceService } from "@quaymesh/api";
import type { DeviceService as Devices, RevocationPreview } from "../devices/service.ts";
import { GatewayError } from "../errors.ts";
import type { DeviceSelector } from "../store/port-devices.ts";
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
      return previewMessage(await devices.previewRevocation(device));
    },
    async previewRevocations({ selector }) {
      const previews = await devices.previewSelected(selectorOf(selector));
      return { devices: previews.map(previewMessage) };
    },
    async revokeDevices({ selector, reason }) {
      const { receipts, spared } = await devices.revokeSelected(selectorOf(selector), { reason });
      return { receipts: receipts.map(receiptMessage), spared: [...spared] };
    },
    async rotateDevice({ device }) {
      const result = await devices.rotate(device);
      if (result.kind === "rotated") return { state: RotationState.ROTATED };
      return { state: result.why === "offline" ? RotationState.PENDING_OFFLINE : RotationState.PENDING_SILENT };
    },
    async unfreezeDevice({ device }) {
      return { device: deviceMessage(await devices.unfreeze(device)) };
    },
    async revokeDevice({ device, reason }) {
      return { receipt: receiptMessage(await devices.revoke(device, { reason })) };
    },
  };
}

/** @throws {GatewayError} `REQUEST_INVALID` where it names nothing: that is never everything */
function selectorOf(message: SelectorMessage | undefined): DeviceSelector {
  const by = message?.by;
  if (by?.case === "label" && by.value !== "") return { kind: "label", label: by.value };
  if (by?.case === "issuedBefore") return { kind: "issued-before", before: timestampMs(by.value) };
  throw new GatewayError("REQUEST_INVALID", "the selector names neither a label nor a time");
}

function previewMessage({ device, sessions, runningTasks, queuedTasks }: RevocationPreview) {
  return { device: deviceMessage(device), sessions, runningTasks, queuedTasks };
}
