export type {
  Authorize,
  ByteStream,
  Connection,
  ConnectionStats,
  Credentials,
  DialOptions,
  Listener,
  ListenerStats,
  ListenLimits,
  ListenOptions,
  PeerIdentity,
  PeerTrust,
  RefusalReason,
  SocketAddress,
  Transport,
  Verdict,
} from "./transport/port.ts";
export { CLOSE_CODES, QUIC_ERRORS, REFUSAL_CODES, dialVerdict } from "./transport/close.ts";
export type { CloseInfo, DialVerdict } from "./transport/close.ts";
export { ProtocolError, RemoteError, TransportError } from "./errors.ts";
export type { ProtocolErrorCode, TransportErrorCode } from "./errors.ts";
