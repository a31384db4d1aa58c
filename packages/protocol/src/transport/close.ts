import type { RefusalReason } from "./port.ts";

/**
 * How a connection ended. `application`: a code of {@link CLOSE_CODES}. `transport`: a QUIC transport or crypto error
 * (RFC 9000 section 20). `idle`: nothing was heard for the idle timeout. `local`: this process closed its endpoint.
 */
export type CloseInfo =
  | { readonly kind: "application"; readonly code: number; readonly reason: string; readonly byPeer: boolean }
  | { readonly kind: "transport"; readonly code: number; readonly reason: string; readonly byPeer: boolean }
  | { readonly kind: "idle" }
  | { readonly kind: "local" };

/** Application close codes. One table; docs/wire.md lists the same. */
export const CLOSE_CODES = {
  /** Done; nothing is wrong. */
  ok: 0x00,
  /** The peer broke the protocol. */
  protocol: 0x40,
  /** We failed; the peer may come back later. */
  internal: 0x41,
  /** The gateway stops; come back after the `Drain` delay. */
  draining: 0x50,
  /** A newer session of the same device took over. */
  superseded: 0x51,
  /** The device is revoked. */
  revoked: 0x52,
  /** The peer was too slow or sent nothing. */
  timeout: 0x53,
  /** The peer asked for more work than one connection may. */
  excessive: 0x54,
  /** The device is set aside until an operator has decided: two hold its key. */
  frozen: 0x55,
  /** A node has seen a later state of this mesh than the gateway has: it serves nobody until an operator has decided. */
  behind: 0x56,
} as const;

/**
 * QUIC transport error codes this project gives or reads. RFC 9000 section 20.1; crypto errors are 0x100 + TLS alert
 * (RFC 9001 section 4.8).
 */
export const QUIC_ERRORS = {
  noError: 0x00,
  connectionRefused: 0x02,
  badCertificate: 0x12a,
  unsupportedCertificate: 0x12b,
  certificateRevoked: 0x12c,
  certificateExpired: 0x12d,
  certificateUnknown: 0x12e,
  unknownCa: 0x130,
  accessDenied: 0x131,
  /** What BoringSSL gives for a signature that does not fit, such as one of another root with the same name. */
  decryptError: 0x133,
  certificateRequired: 0x174,
  noApplicationProtocol: 0x178,
} as const;

/** The crypto error a refusal closes with. */
export const REFUSAL_CODES: Readonly<Record<RefusalReason, number>> = {
  revoked: QUIC_ERRORS.certificateRevoked,
  expired: QUIC_ERRORS.certificateExpired,
  unknown: QUIC_ERRORS.certificateUnknown,
  denied: QUIC_ERRORS.accessDenied,
  // TLS has no alert of its own for it: the reason phrase tells it from `denied`.
  frozen: QUIC_ERRORS.accessDenied,
};

/** What a close means to a dialer, in the words people see. */
export type DialVerdict =
  | "busy"
  | "revoked"
  | "expired"
  | "unknown"
  | "denied"
  | "untrusted"
  | "wrong-protocol"
  | "superseded"
  | "frozen"
  | "behind"
  | "draining"
  | "other";

const TRANSPORT_VERDICTS: ReadonlyMap<number, DialVerdict> = new Map([
  [QUIC_ERRORS.connectionRefused, "busy"],
  [QUIC_ERRORS.certificateRevoked, "revoked"],
  [QUIC_ERRORS.certificateExpired, "expired"],
  [QUIC_ERRORS.certificateUnknown, "unknown"],
  [QUIC_ERRORS.accessDenied, "denied"],
  [QUIC_ERRORS.unknownCa, "untrusted"],
  [QUIC_ERRORS.decryptError, "untrusted"],
  [QUIC_ERRORS.badCertificate, "untrusted"],
  [QUIC_ERRORS.unsupportedCertificate, "untrusted"],
  [QUIC_ERRORS.certificateRequired, "denied"],
  [QUIC_ERRORS.noApplicationProtocol, "wrong-protocol"],
]);

const APPLICATION_VERDICTS: ReadonlyMap<number, DialVerdict> = new Map([
  [CLOSE_CODES.revoked, "revoked"],
  [CLOSE_CODES.superseded, "superseded"],
  [CLOSE_CODES.frozen, "frozen"],
  [CLOSE_CODES.behind, "behind"],
  [CLOSE_CODES.draining, "draining"],
]);

/** Read a close the way an operator would say it. */
export function dialVerdict(close: CloseInfo): DialVerdict {
  if (close.kind === "transport") {
    if (close.code === REFUSAL_CODES.frozen && close.reason === "frozen") return "frozen";
    return TRANSPORT_VERDICTS.get(close.code) ?? "other";
  }
  if (close.kind === "application") return APPLICATION_VERDICTS.get(close.code) ?? "other";
  return "other";
}
