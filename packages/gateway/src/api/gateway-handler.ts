import type { ServiceImpl } from "@connectrpc/connect";
import type { GatewayService } from "@quaymesh/api";
import type { GatewayStatus } from "../core.ts";
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
  /** Begin to stop, and return at once: the caller's own connection is among what stops. */
  requestStop(): void;
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
        refused: Object.fromEntries(Object.entries(status.refused).map(([reason, count]) => [reason, BigInt(count)])),
        pairingOpen: status.pairingOpen,
        connections: status.connections,
      };
    },
    shutdown() {
      daemon.requestStop();
      return {};
    },
  };
}
