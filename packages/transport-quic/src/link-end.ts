import { CLOSE_CODES, QUIC_ERRORS } from "@quaymesh/protocol";
import type { CloseInfo } from "@quaymesh/protocol";
import type { NativeConnection } from "./binding.ts";

/** How a link ends whose peer has had more addresses than quiche keeps. */
export const TOO_MANY_ADDRESSES = {
  kind: "application",
  code: CLOSE_CODES.ok,
  reason: "too many addresses",
  byPeer: false,
} as const satisfies CloseInfo;

const MAX_REASON_BYTES = 128;
/** Control and format characters: what could move a terminal's cursor, end a log's line or turn text around. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

// A reason ends up in messages and logs, and on the path anybody can close a handshake with one of up to 64 KiB.
const readReason = (bytes: Uint8Array): string =>
  Buffer.from(bytes.subarray(0, MAX_REASON_BYTES)).toString("utf8").replace(UNPRINTABLE, "\u{fffd}");

/** How the connection ended, as quiche has it; `undefined` while it lives. */
export function endOf(native: NativeConnection): CloseInfo | undefined {
  const theirs = native.peerError();
  const error = theirs ?? native.localError();
  if (error !== null) {
    const reason = readReason(error.reason);
    const kind = error.isApp ? "application" : "transport";
    return { kind, code: error.errorCode, reason, byPeer: theirs !== null };
  }
  if (native.isTimedOut()) return { kind: "idle" };
  if (!native.isClosed()) return undefined;
  // Closed without a code from either side: the peer's stateless reset.
  return { kind: "transport", code: QUIC_ERRORS.noError, reason: "stateless reset", byPeer: true };
}
