import type { SocketAddress } from "@quaymesh/protocol";

/** A ticket as `parseTicket` of `@quaymesh/identity` gives it. */
export interface JoinTicket {
  readonly meshId: string;
  readonly addresses: readonly SocketAddress[];
  readonly rootSpkiSha256: Uint8Array;
}
