import type { ServiceImpl } from "@connectrpc/connect";
import type { OpenWindowRequest, PairingService } from "@quaymesh/api";
import type { OpenWindow, PairingService as Pairing, WindowUpdate, WindowView } from "../pairing/service.ts";
import { pairingRequestMessage, pairingState, timestamp } from "./encode.ts";

/** `quaymesh.v1.PairingService` on the pairing service. */
export function pairingHandler(pairing: Pairing): ServiceImpl<typeof PairingService> {
  return {
    async openWindow(request) {
      const opened = await pairing.open(openWindowOf(request));
      return {
        windowId: opened.windowId,
        link: opened.link?.reveal() ?? "",
        pin: opened.pin?.reveal() ?? "",
        expiresAt: timestamp(opened.expiresAt),
        addresses: [...opened.addresses],
      };
    },
    async listWindows() {
      return { windows: (await pairing.windows()).map(windowMessage) };
    },
    async *watchWindow({ windowId }, { signal }) {
      for await (const update of pairing.watch(windowId, { signal })) yield updateMessage(update);
    },
    async closeWindow({ windowId }) {
      await pairing.close(windowId);
      return {};
    },
    async listRequests() {
      return { requests: (await pairing.requests()).map(pairingRequestMessage) };
    },
    async approveRequest({ requestId }) {
      return { request: pairingRequestMessage(await pairing.approve(requestId)) };
    },
    async denyRequest({ requestId }) {
      return { request: pairingRequestMessage(await pairing.deny(requestId)) };
    },
  };
}

function openWindowOf(request: OpenWindowRequest): OpenWindow {
  const { name, labels, purpose, ttlSeconds, pin, device, ticketAndPin, nodeCode, preapproved, uses } = request;
  const code = nodeCode !== "" ? "node" : ticketAndPin ? "both" : pin ? "pin" : "ticket";
  return {
    name,
    labels,
    purpose,
    code,
    preapproved,
    ...(nodeCode !== "" && { nodeCode }),
    ...(uses > 0 && { uses }),
    ...(device !== "" && { device }),
    ...(ttlSeconds > 0 && { ttlMs: ttlSeconds * 1000 }),
  };
}

function windowMessage({ openedAt, expiresAt, deviceId, labels, codes, ...view }: WindowView) {
  return {
    ...view,
    labels: [...labels],
    codes: [...codes],
    deviceId: deviceId ?? "",
    openedAt: timestamp(openedAt),
    expiresAt: timestamp(expiresAt),
  };
}

function updateMessage({ state, request, remoteAddress, reason, holder }: WindowUpdate) {
  return {
    state: pairingState(state),
    request: request === undefined ? undefined : pairingRequestMessage(request),
    remoteAddress,
    reason,
    ...(holder && { holder }),
  };
}
