import type { ServiceImpl } from "@connectrpc/connect";
import type { PairingService } from "@quaymesh/api";
import type { PairingService as Pairing, WindowUpdate } from "../pairing/service.ts";
import { pairingRequestMessage, pairingState, timestamp } from "./encode.ts";

/** `quaymesh.v1.PairingService` on the pairing service. */
export function pairingHandler(pairing: Pairing): ServiceImpl<typeof PairingService> {
  return {
    async openWindow({ name, labels, purpose, ttlSeconds, pin, device }) {
      const opened = await pairing.open({
        name,
        labels,
        purpose,
        code: pin ? "pin" : "ticket",
        ...(device !== "" && { device }),
        ...(ttlSeconds > 0 && { ttlMs: ttlSeconds * 1000 }),
      });
      return {
        windowId: opened.windowId,
        link: opened.code.kind === "ticket" ? opened.code.link.reveal() : "",
        pin: opened.code.kind === "pin" ? opened.code.pin.reveal() : "",
        expiresAt: timestamp(opened.expiresAt),
        addresses: [...opened.addresses],
      };
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

function updateMessage({ state, request, remoteAddress, reason }: WindowUpdate) {
  return {
    state: pairingState(state),
    request: request === undefined ? undefined : pairingRequestMessage(request),
    remoteAddress,
    reason,
  };
}
