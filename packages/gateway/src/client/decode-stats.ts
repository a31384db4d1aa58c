import type { GetStatsResponse } from "@quaymesh/api";
import { timeOf } from "./decode.ts";
import type { GatewayStats } from "./types.ts";

const counts = (byReason: Readonly<Record<string, bigint>>): Record<string, number> =>
  Object.fromEntries(Object.entries(byReason).map(([reason, count]) => [reason, Number(count)]));

/** The gateway's counters as plain data; what an older gateway does not send is 0. */
export function gatewayStats(stats: GetStatsResponse): GatewayStats {
  const { transport, sessions } = stats;
  return {
    startedAt: timeOf(stats.startedAt),
    transport: {
      connections: transport?.connections ?? 0,
      halfOpen: transport?.halfOpen ?? 0,
      accepted: Number(transport?.accepted ?? 0),
      refused: counts(transport?.refused ?? {}),
      cut: counts(transport?.cut ?? {}),
      throttled: Number(transport?.throttled ?? 0),
      datagramsReceived: Number(transport?.datagramsReceived ?? 0),
      datagramsSent: Number(transport?.datagramsSent ?? 0),
      bytesReceived: Number(transport?.bytesReceived ?? 0),
      bytesSent: Number(transport?.bytesSent ?? 0),
      sendErrors: Number(transport?.sendErrors ?? 0),
    },
    sessions: {
      online: sessions?.online ?? 0,
      opened: Number(sessions?.opened ?? 0),
      superseded: Number(sessions?.superseded ?? 0),
      revoked: Number(sessions?.revoked ?? 0),
    },
    revocationEpoch: Number(stats.revocationEpoch),
    firstOffset: Number(stats.firstOffset),
    lastOffset: Number(stats.lastOffset),
    tasks: { waiting: stats.tasksWaiting, placed: stats.tasksPlaced, retrying: stats.tasksRetrying },
    store: { state: stats.storeState, queued: stats.storeQueued },
  };
}
