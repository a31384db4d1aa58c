import { QUIC_ERRORS, type CloseInfo } from "@quaymesh/protocol/core";

/** RFC 8446 section 6: alerts as the standard spells them. QUIC carries them as 0x100 + alert (RFC 9001 section 4.8). */
const ALERT_NAMES: ReadonlyMap<number, string> = new Map([
  [QUIC_ERRORS.badCertificate, "bad_certificate"],
  [QUIC_ERRORS.unsupportedCertificate, "unsupported_certificate"],
  [QUIC_ERRORS.certificateRevoked, "certificate_revoked"],
  [QUIC_ERRORS.certificateExpired, "certificate_expired"],
  [QUIC_ERRORS.certificateUnknown, "certificate_unknown"],
  [QUIC_ERRORS.unknownCa, "unknown_ca"],
  [QUIC_ERRORS.accessDenied, "access_denied"],
  [QUIC_ERRORS.decryptError, "decrypt_error"],
  [QUIC_ERRORS.certificateRequired, "certificate_required"],
  [QUIC_ERRORS.noApplicationProtocol, "no_application_protocol"],
  [QUIC_ERRORS.connectionRefused, "connection_refused"],
]);

/** The standard's name of the error a peer refused a connection with; `undefined` for any other end. */
export function refusalName(close: CloseInfo): string | undefined {
  return close.kind === "transport" && close.byPeer ? ALERT_NAMES.get(close.code) : undefined;
}

/** How a connection ended, in words. */
export function closeText(close: CloseInfo): string {
  switch (close.kind) {
    case "idle":
      return "nothing was heard any more";
    case "local":
      return "this side closed it";
    case "application":
      return `closed ${close.byPeer ? "by the peer " : ""}with 0x${close.code.toString(16)} ${close.reason}`.trimEnd();
    case "transport": {
      const name = ALERT_NAMES.get(close.code) ?? close.reason;
      return `${close.byPeer ? "refused by the peer" : "closed"} with ${name} (0x${close.code.toString(16)})`;
    }
    default:
      return close satisfies never;
  }
}
