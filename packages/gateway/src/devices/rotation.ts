/** Having a device take another certificate now. DESIGN section 5, "Identity and pairing". */
import type { Clock } from "../clock.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { Store } from "../store/port.ts";

/** How long a device that is online has, from being asked to the first session with its new certificate. */
const ROTATION_MS = 15_000;

/**
 * What came of a rotation. `rotated`: the device has used a certificate issued since, and older ones are refused. `pending`: it has not yet, because it is `offline` or has not answered
 * in time (`silent`); it is asked again with each session.
 */
export type RotationResult =
  | { readonly kind: "rotated" }
  | { readonly kind: "pending"; readonly why: "offline" | "silent" };

/** Who waits for which device to use its new certificate. */
export class Rotations {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** A session has begun with a certificate issued since the device was asked. */
  settled(deviceId: string): void {
    for (const wake of this.#waiting.get(deviceId) ?? []) wake();
  }

  /** Call back once at {@link Rotations.settled}. @returns stop waiting */
  whenSettled(deviceId: string, wake: () => void): () => void {
    const waiters = this.#waiting.get(deviceId) ?? new Set();
    this.#waiting.set(deviceId, waiters.add(wake));
    return () => {
      waiters.delete(wake);
      if (waiters.size === 0) this.#waiting.delete(deviceId);
    };
  }
}

/** What a rotation works with. */
export interface RotationContext {
  readonly store: Store;
  readonly registry: SessionRegistry;
  readonly rotations: Rotations;
  readonly clock: Clock;
}

/**
 * Note on disk that another certificate is wanted, then ask the device if it is there. A crash in between, or a device that is out of reach, leaves the note.
 * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `STORE_*`
 */
export async function rotateDevice(
  deviceId: string,
  { store, registry, rotations, clock }: RotationContext,
  timeoutMs = ROTATION_MS,
): Promise<RotationResult> {
  // Before the note: the session that settles it may begin the moment it is there.
  const { promise, resolve } = Promise.withResolvers<RotationResult>();
  const stop = rotations.whenSettled(deviceId, () => resolve({ kind: "rotated" }));
  try {
    await store.devices.requestRotation({ deviceId, now: clock.now() });
    const session = registry.current(deviceId);
    if (session?.open === undefined) return { kind: "pending", why: "offline" };
    session.feed({ kind: "request-renewal" });
    const cancel = clock.after(timeoutMs, () => resolve({ kind: "pending", why: "silent" }));
    const result = await promise;
    cancel();
    return result;
  } finally {
    stop();
  }
}
