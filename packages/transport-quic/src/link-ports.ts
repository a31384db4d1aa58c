import type { CloseInfo } from "@quaymesh/protocol";
import type { HostPort } from "./binding.ts";
import type { Link } from "./link.ts";
import type { Outgoing } from "./outgoing.ts";

/** What a link needs of the endpoint it lives in. */
export interface LinkHost {
  /** Our address. */
  readonly local: HostPort;
  readonly outgoing: Outgoing;
  /** Have `process` and `flush` called in the next turn. */
  schedule(link: Link): void;
  /** What was written to {@link LinkHost.outgoing} should leave, when the turn ends at the latest. */
  sent(): void;
  /** quiche is through with the connection: forget it. */
  release(link: Link): void;
}

/** Who is told what happens on a link: a handshake first, then a connection. */
export interface LinkOwner {
  /** Datagrams came in or a timer fired: look for data, room and credit. Called once a turn. */
  process(): void;
  /** Hand gathered writes to quiche, just before datagrams are made. */
  uncork(): void;
  /** Everything was sent; quiche's next timeout is `timeoutMs`. @returns `true` where there is something to send after all */
  flushed(timeoutMs: number | null): boolean;
  /** A time set with `Link.expireAt` has come. */
  expired(): void;
  /** quiche noticed something of the peer's addresses: it may have moved. */
  pathsChanged?(): void;
  /** The connection is over. Called once. */
  ended(info: CloseInfo): void;
}

/** Told of every datagram, for traces. */
export interface LinkTap {
  received(bytes: number): void;
  sent(bytes: number): void;
}
