import type { ServiceImpl } from "@connectrpc/connect";
import type { BackupRequest, GatewayService } from "@quaymesh/api";
import { checkPassphraseParameters, IdentityError, sealingKey, type SealedWith } from "@quaymesh/identity";
import type { GatewayStats, GatewayStatus } from "../core-views.ts";
import type { DaemonDiagnosis } from "../daemon/diagnosis.ts";
import { diagnosisMessage } from "./encode-diagnosis.ts";
import { authorityError } from "../daemon/open-authority.ts";
import { GatewayError } from "../errors.ts";
import type { Behind } from "../store/port-lineage.ts";
import { timestamp } from "./encode.ts";

/** What the daemon knows beyond its core. */
export interface DaemonStatus extends GatewayStatus {
  readonly meshName: string;
  readonly version: string;
  /** Where nodes dial, host:port. */
  readonly meshAddresses: readonly string[];
  /** Lower-case hex SHA-256 of the root's SubjectPublicKeyInfo. */
  readonly rootFingerprint: string;
  readonly pairingOpen: boolean;
}

/** What `GatewayService` needs of the daemon. */
export interface DaemonControl {
  status(): Promise<DaemonStatus>;
  stats(): Promise<GatewayStats>;
  diagnosis(): DaemonDiagnosis;
  /** Begin to stop, and return at once: the caller's own connection is among what stops. */
  requestStop(): void;
  /** A backup as a stream, sealed with this. */
  backup(sealing: SealedWith): AsyncIterable<Uint8Array>;
}

/** `quaymesh.v1.GatewayService` on the daemon. */
export function gatewayHandler(daemon: DaemonControl): ServiceImpl<typeof GatewayService> {
  return {
    async getStatus() {
      const status = await daemon.status();
      return {
        meshId: status.meshId,
        meshName: status.meshName,
        version: status.version,
        startedAt: timestamp(status.startedAt),
        meshAddresses: [...status.meshAddresses],
        rootFingerprint: status.rootFingerprint,
        revocationEpoch: BigInt(status.revocationEpoch),
        devices: status.devices,
        online: status.online,
        lastOffset: BigInt(status.lastOffset),
        logId: status.logId,
        refused: counts(status.refused),
        pairingOpen: status.pairingOpen,
        connections: status.connections,
        ...(status.behind && { behind: behindMessage(status.behind) }),
      };
    },
    async getStats() {
      return statsMessage(await daemon.stats());
    },
    getDiagnosis() {
      return diagnosisMessage(daemon.diagnosis());
    },
    shutdown() {
      daemon.requestStop();
      return {};
    },
    async *backup(request) {
      const sealing = sealingOf(request);
      try {
        for await (const bytes of daemon.backup(sealing)) yield { bytes };
      } catch (cause) {
        throw cause instanceof IdentityError ? authorityError(cause) : cause;
      } finally {
        sealing.key.key.erase();
      }
    },
  };
}

/** @throws {GatewayError} `REQUEST_INVALID` */
function sealingOf({ key, passphrase }: BackupRequest): SealedWith {
  try {
    if (passphrase === undefined) return { key: sealingKey(key) };
    const { memoryKib, passes, lanes, salt } = passphrase;
    return { key: sealingKey(key), parameters: checkPassphraseParameters({ memoryKib, passes, lanes, salt }) };
  } catch (cause) {
    throw new GatewayError("REQUEST_INVALID", "what is to seal the backup makes no sense", { cause });
  } finally {
    key.fill(0);
  }
}

function behindMessage({ device, at, here, seen, revoked }: Behind) {
  return {
    deviceId: device,
    at: timestamp(at),
    revocationEpoch: BigInt(here.revocationEpoch),
    offset: BigInt(here.offset),
    seenRevocationEpoch: BigInt(seen.revocationEpoch),
    seenOffset: BigInt(seen.offset),
    revoked: [...revoked],
  };
}

const counts = (byReason: Readonly<Record<string, number>>): Record<string, bigint> =>
  Object.fromEntries(Object.entries(byReason).map(([reason, count]) => [reason, BigInt(count)]));

function statsMessage(stats: GatewayStats) {
  const { transport, sessions, offsets, tasks, store } = stats;
  return {
    startedAt: timestamp(stats.startedAt),
    transport: {
      connections: transport.connections,
      halfOpen: transport.halfOpen,
      accepted: BigInt(transport.accepted),
      refused: counts(sessions.refused),
      cut: counts(sessions.cut),
      throttled: BigInt(transport.throttled),
      datagramsReceived: BigInt(transport.datagramsReceived),
      datagramsSent: BigInt(transport.datagramsSent),
      bytesReceived: BigInt(transport.bytesReceived),
      bytesSent: BigInt(transport.bytesSent),
      sendErrors: BigInt(transport.sendErrors),
    },
    sessions: {
      online: sessions.online,
      opened: BigInt(sessions.opened),
      superseded: BigInt(sessions.superseded),
      revoked: BigInt(sessions.revoked),
    },
    revocationEpoch: BigInt(stats.revocationEpoch),
    firstOffset: BigInt(offsets.earliest),
    lastOffset: BigInt(offsets.latest),
    tasksWaiting: tasks.waiting,
    tasksPlaced: tasks.placed,
    tasksRetrying: tasks.retrying,
    storeState: store.state,
    storeQueued: store.queued,
    log: logMessage(stats.log),
    ingest: {
      throttledRate: BigInt(stats.ingest.throttledRate),
      throttledQuota: BigInt(stats.ingest.throttledQuota),
      waiting: stats.ingest.waiting,
    },
  };
}

function logMessage(log: GatewayStats["log"]) {
  const { policy } = log;
  return {
    bytes: BigInt(log.bytes),
    ...(log.oldestAt !== undefined && { oldest: timestamp(log.oldestAt) }),
    fileBytes: BigInt(log.fileBytes),
    freeBytes: BigInt(log.freeBytes),
    maxAgeMs: BigInt(policy.maxAgeMs ?? 0),
    maxBytes: BigInt(policy.maxBytes ?? 0),
    maxEvents: BigInt(policy.maxEvents ?? 0),
    dropped: BigInt(log.dropped),
    heldBy: log.heldBy.map(({ owner, name }) => `${owner}/${name}`),
    lapsed: BigInt(log.lapsed),
    clockBehindMs: BigInt(Math.round(log.clockBehindMs)),
    checkedTo: BigInt(log.checkedTo),
    damaged: BigInt(log.damaged),
  };
}
