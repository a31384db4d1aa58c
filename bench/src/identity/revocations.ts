import type { GatewayClient } from "@quaymesh/gateway/client";
import type { DeviceFile } from "../sessions/devices.ts";
import type { Held } from "./gateway.ts";

/** Sessions opened at once. */
const AT_ONCE = 32;

/** What each revocation took, in milliseconds since the operator's call; of `refusedMs` since the redial. */
export interface Revoked {
  /** Of the very first, which finds code that has not run yet, until its connection was closed. */
  readonly firstMs: number;
  /** Until the connection was closed at the device. */
  readonly closedMs: readonly number[];
  /** Until the operator had the receipt. */
  readonly receiptMs: readonly number[];
  /** Until the device's next dial was refused. */
  readonly refusedMs: readonly number[];
}

/** Dials as a device, and waits for the welcome. */
export type HoldDevice = (device: DeviceFile) => Promise<Held>;

/** Hold a session of each device. @throws what the first failure throws; rethrows `signal.reason` */
export async function holdEach(
  devices: readonly DeviceFile[],
  hold: HoldDevice,
  { held, signal }: { readonly held: AsyncDisposableStack; readonly signal: AbortSignal },
): Promise<readonly Held[]> {
  const sessions: Held[] = [];
  for (let at = 0; at < devices.length; at += AT_ONCE) {
    signal.throwIfAborted();
    const some = await Promise.all(devices.slice(at, at + AT_ONCE).map(hold));
    for (const session of some) sessions.push(held.use(session));
  }
  return sessions;
}

/** What {@link revokeEach} works with. */
export interface RevokeOptions {
  readonly client: GatewayClient;
  readonly hold: HoldDevice;
  /** So many of the first do not count: what they run is compiled by then. */
  readonly warmUp: number;
  readonly signal: AbortSignal;
}

/** Revoke one after the other, and have each dial again. @throws {Error} when one gets in again; rethrows `signal.reason` */
export async function revokeEach(
  sessions: readonly Held[],
  { client, hold, warmUp, signal }: RevokeOptions,
): Promise<Revoked> {
  const all = { closedMs: [] as number[], receiptMs: [] as number[], refusedMs: [] as number[] };
  for (const { device, closed } of sessions) {
    signal.throwIfAborted();
    const began = performance.now();
    const closing = closed.then(() => performance.now() - began);
    await client.devices.revoke(device.deviceId);
    all.receiptMs.push(performance.now() - began);
    all.closedMs.push(await closing);
    all.refusedMs.push(await refusal(() => hold(device)));
  }
  const [firstMs = Number.NaN] = all.closedMs;
  return {
    firstMs,
    closedMs: all.closedMs.slice(warmUp),
    receiptMs: all.receiptMs.slice(warmUp),
    refusedMs: all.refusedMs.slice(warmUp),
  };
}

/** How long it takes until a dial fails. @throws {Error} when it does not */
async function refusal(dial: () => Promise<AsyncDisposable>): Promise<number> {
  const began = performance.now();
  let session: AsyncDisposable;
  try {
    session = await dial();
  } catch {
    return performance.now() - began;
  }
  await session[Symbol.asyncDispose]();
  throw new Error("a revoked device came in");
}
