import type { SocketAddress } from "../transport/port.ts";

/** What one datagram to an endpoint came to. */
export type ProbeAnswer =
  /** It speaks our transport. Round trip in milliseconds. */
  | { readonly kind: "answered"; readonly roundTripMs: number }
  /** It answers, and speaks something else, or other versions alone. */
  | { readonly kind: "foreign" }
  /** The machine is there, and nothing listens on that port. */
  | { readonly kind: "refused" }
  /** This machine has no way there: the system's error. */
  | { readonly kind: "unroutable"; readonly errno: string }
  /** This machine's own rules do not let it out. */
  | { readonly kind: "forbidden"; readonly errno: string }
  /** Longer than the way there carries. */
  | { readonly kind: "too-long" }
  /** No answer: lost, or dropped by something in between. */
  | { readonly kind: "silent" };

/** Options of a {@link PathProbe}. */
export interface ProbeOptions {
  /** Length of the datagram, UDP payload; 1200 at least. */
  readonly bytes: number;
  /** For all tries together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ask an endpoint whether it is there, with a datagram that begins no connection. `address.host` is an IP address. The datagram is not fragmented where the system allows to say so.
 * Rejects with `signal.reason` alone.
 */
export type PathProbe = (address: SocketAddress, options: ProbeOptions) => Promise<ProbeAnswer>;
