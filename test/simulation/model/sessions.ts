import type { OpenedSession, OpenSession } from "../../../packages/gateway/src/store/port-events.ts";
import type { RevokeInput } from "../../../packages/gateway/src/store/port-devices.ts";
import type { Job, Reply } from "../../../packages/gateway/src/store/sqlite/wire.ts";
import { Violation } from "../violation.ts";
import type { ModelLog } from "./log.ts";

/** What sessions and revocations have to do. */
export class ModelSessions {
  readonly #epochs = new Map<string, number>();
  /** Devices whose revocation is committed, and those for which somebody holds the receipt. */
  readonly #revoked = new Set<string>();
  readonly #receipts = new Set<string>();
  #seen = 0;

  /** Whether somebody holds the receipt. */
  isRevoked(deviceId: string): boolean {
    return this.#receipts.has(deviceId);
  }

  /** A group of writes was committed, and the log knows of it. */
  committed(jobs: readonly Job[], replies: readonly Reply[], log: ModelLog): void {
    for (const { deviceId, kind, offset } of log.since(this.#seen)) {
      if (this.#revoked.has(deviceId) && !kind.startsWith("mesh.")) {
        throw new Violation("nothing-after-revocation", `${deviceId} has an event at ${String(offset)}`);
      }
    }
    this.#seen = log.latest;
    for (const [index, job] of jobs.entries()) {
      const reply = replies[index];
      if (reply?.ok !== true) continue;
      if (job.unit === "devices.revoke") this.#revoked.add((job.input as RevokeInput).deviceId);
      if (job.unit === "sessions.open") this.#opened(job.input as OpenSession, reply.value as OpenedSession);
    }
  }

  /** An operator holds the receipt. */
  receipt(deviceId: string, isCommitted: boolean): void {
    if (!isCommitted) throw new Violation("receipt-is-committed", `${deviceId} is not revoked in the store`);
    this.#receipts.add(deviceId);
  }

  /** A handshake of this device was let through. */
  accepted(deviceId: string): void {
    if (this.#receipts.has(deviceId)) {
      throw new Violation("refused-in-the-handshake", `${deviceId} came in after its revocation`);
    }
  }

  /** So many sessions of this device are open. */
  checkOpen(deviceId: string, open: number): void {
    if (open > 1) throw new Violation("one-session-per-device", `${deviceId} has ${String(open)}`);
    if (open > 0 && this.#receipts.has(deviceId)) {
      throw new Violation("no-session-after-revocation", `${deviceId} has one`);
    }
  }

  #opened({ deviceId }: OpenSession, { sessionEpoch }: OpenedSession): void {
    const before = this.#epochs.get(deviceId) ?? 0;
    if (sessionEpoch !== before + 1) {
      throw new Violation("epochs-grow-by-one", `${deviceId} has ${String(sessionEpoch)} after ${String(before)}`);
    }
    if (this.#revoked.has(deviceId)) throw new Violation("no-session-after-revocation", `${deviceId} was registered`);
    this.#epochs.set(deviceId, sessionEpoch);
  }
}
