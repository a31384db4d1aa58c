import type { GetStatsResponse, LogStats } from "@quaymesh/api";
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
    log: logStats(stats.log),
    ingest: {
      throttledRate: Number(stats.ingest?.throttledRate ?? 0),
      throttledQuota: Number(stats.ingest?.throttledQuota ?? 0),
      waiting: stats.ingest?.waiting ?? 0,
    },
  };
}

function logStats(log: LogStats | undefined): GatewayStats["log"] {
  return {
    bytes: Number(log?.bytes ?? 0),
    oldestAt: timeOf(log?.oldest),
    fileBytes: Number(log?.fileBytes ?? 0),
    freeBytes: Number(log?.freeBytes ?? 0),
    maxAgeMs: Number(log?.maxAgeMs ?? 0),
    maxBytes: Number(log?.maxBytes ?? 0),
    maxEvents: Number(log?.maxEvents ?? 0),
    dropped: Number(log?.dropped ?? 0),
    heldBy: log?.heldBy ?? [],
    lapsed: Number(log?.lapsed ?? 0),
    clockBehindMs: Number(log?.clockBehindMs ?? 0),
    checkedTo: Number(log?.checkedTo ?? 0),
    damaged: Number(log?.damaged ?? 0),
  };
}
