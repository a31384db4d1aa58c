/** Pairing's messages to the client's plain data. */
import { PairingState } from "@quaymesh/api";
import type { KeyHolder, PairingRequest, PairingWindow, WatchWindowResponse } from "@quaymesh/api";
import { named, timeOf } from "./decode.ts";
import type {
  KeyHolderInfo,
  PairingRequestInfo,
  PairingStateName,
  PairingWindowInfo,
  WindowUpdate,
} from "./types-pairing.ts";

const PAIRING_STATES: ReadonlyMap<PairingState, PairingStateName> = new Map([
  [PairingState.OPEN, "open"],
  [PairingState.CLAIMED, "claimed"],
  [PairingState.PENDING, "pending"],
  [PairingState.APPROVED, "approved"],
  [PairingState.ISSUED, "issued"],
  [PairingState.ACTIVE, "active"],
  [PairingState.DENIED, "denied"],
  [PairingState.EXPIRED, "expired"],
  [PairingState.BURNT, "burnt"],
  [PairingState.CLOSED, "closed"],
  [PairingState.ATTEMPT_FAILED, "attempt-failed"],
  [PairingState.USED, "used"],
]);

/** @throws {ClientError} `RESPONSE_INVALID` */
export function pairingRequestInfo(request: PairingRequest): PairingRequestInfo {
  return {
    requestId: request.requestId,
    windowId: request.windowId,
    state: named(PAIRING_STATES, request.state, "pairing state"),
    name: request.name,
    platform: request.platform,
    remoteAddress: request.remoteAddress,
    words: request.words,
    requestedAt: timeOf(request.requestedAt),
    deviceId: request.deviceId,
    certificateNotAfter: timeOf(request.certificateNotAfter),
    preapproved: request.preapproved,
    holder: holderInfo(request.holder),
  };
}

/** @throws {ClientError} `RESPONSE_INVALID` */
export function windowUpdate(message: WatchWindowResponse): WindowUpdate {
  return {
    state: named(PAIRING_STATES, message.state, "pairing state"),
    request: message.request === undefined ? undefined : pairingRequestInfo(message.request),
    remoteAddress: message.remoteAddress,
    reason: message.reason,
    holder: holderInfo(message.holder),
  };
}

function holderInfo(holder: KeyHolder | undefined): KeyHolderInfo | undefined {
  if (holder === undefined) return undefined;
  const { deviceId, name, state } = holder;
  return { deviceId, name, state: state === "frozen" || state === "revoked" ? state : "paired" };
}

/** A window in a list. */
export function pairingWindowInfo(window: PairingWindow): PairingWindowInfo {
  const { windowId, name, labels, purpose, deviceId, codes, preapproved, uses, usesLeft } = window;
  const times = { openedAt: timeOf(window.openedAt), expiresAt: timeOf(window.expiresAt) };
  return { windowId, name, labels, purpose, deviceId, ...times, codes, preapproved, uses, usesLeft };
}
