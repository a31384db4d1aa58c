import type { PairingRequestInfo } from "@quaymesh/gateway/client";

/** The moment the tables of these tests are drawn at. */
export const NOW = Date.parse("2026-11-20T12:00:00Z");

/** A device that asks, two seconds before. */
export const request: PairingRequestInfo = {
  requestId: "01JD2Y7QK4M8N0P2R4T6V8X0RQ",
  windowId: "w",
  state: "pending",
  name: "build-box",
  platform: "linux x64",
  remoteAddress: "192.0.2.57:40000",
  words: ["anchor", "maple", "orbit", "seven"],
  requestedAt: NOW - 2000,
  deviceId: "",
  certificateNotAfter: undefined,
  preapproved: false,
  holder: undefined,
};
