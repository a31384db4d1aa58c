import type { ConnectionStats, SocketAddress } from "@quaymesh/protocol";
import { shownHost } from "../address.ts";
import type { NativeConnection } from "../binding.ts";

/** What quiche knows of a connection; not where the peer is, which may have another name to it. */
export function readStats(native: NativeConnection, ageMs: number): Omit<ConnectionStats, "remoteAddress"> {
  const { sentBytes, recvBytes, sent, recv, lost, streamRetransBytes } = native.stats();
  const active = native.pathStats().find((path) => path.active);
  const address = ({ host, port }: SocketAddress): SocketAddress => ({ host: shownHost(host), port });
  return {
    localAddress: active === undefined ? { host: "", port: 0 } : address(active.localHost),
    ageMs,
    rttMs: active?.rtt ?? 0,
    congestionWindowBytes: active?.cwnd ?? 0,
    datagramBytes: active?.pmtu ?? 0,
    bytesSent: sentBytes,
    bytesReceived: recvBytes,
    packetsSent: sent,
    packetsReceived: recv,
    packetsLost: lost,
    bytesRetransmitted: streamRetransBytes,
    deliveryBytesPerSecond: active?.deliveryRate ?? 0,
  };
}
