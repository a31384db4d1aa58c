import { createGatewayPairing, type Awaited, type GatewayPairing } from "@quaymesh/identity";
import type { PairingRequestRow, WindowRow } from "../store/rows.ts";
import type { DeskParts } from "./desk-parts.ts";
import { lastingWindow, type LastingWindow } from "./lasting-windows.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a start finds. */
export interface RestoredPairing {
  readonly state: GatewayPairing;
  /** Pre-approved windows that are not over. */
  readonly lasting: readonly LastingWindow[];
  /** Devices that have their certificate and were not seen with it. */
  readonly awaited: readonly { readonly requestId: string; readonly deviceId: string }[];
}

/**
 * Pairing as it is after a start. Codes that an operator watches live in memory alone, so their windows are closed and undecided requests expired; pre-approved windows go on with the uses that
 * are left. Wrong proofs still count, so that a restart gives nobody new guesses.
 */
export async function restorePairing(parts: DeskParts): Promise<RestoredPairing> {
  const { store, clock, authority, limits } = parts;
  const now = clock.now();
  const lasting: LastingWindow[] = [];
  const issued = await store.pairing.requests(["issued"]);
  for (const row of await store.pairing.windows(["open"])) {
    const through = issued.filter(({ windowId }) => windowId === row.windowId);
    const window = lastingWindow(authority, row, { now, awaited: await awaitedOf(parts, through) });
    if (window !== undefined) {
      lasting.push(window);
      continue;
    }
    const state = endOf(row, now);
    if (row.sealedCode !== undefined && state === "closed") {
      const { windowId } = row;
      parts.logger.warn({ windowId }, "a pre-approved window is closed: its code was sealed under another issuing key");
    }
    await store.pairing.moveWindow({ windowId: row.windowId, from: ["open"], to: state });
  }
  for (const { requestId, state } of await store.pairing.requests(["pending", "approved"])) {
    await store.pairing.moveRequest({ requestId, from: [state], to: "expired", now });
  }
  const failed = async (secret: "pin" | "ticket"): Promise<number[]> => {
    const { hour, day } = await store.pairing.countFailures({ secret, hourAgo: now - HOUR_MS, dayAgo: now - DAY_MS });
    // The rows count failures, not their moments: the latest they can have been is the careful guess.
    return Array.from({ length: day }, (_, at) => (at < day - hour ? now - HOUR_MS : now));
  };
  const failedAt = { pin: await failed("pin"), ticket: await failed("ticket") };
  const state = createGatewayPairing({
    meshId: authority.meshId,
    root: authority.rootDer,
    limits: limits.attempts,
    failedAt,
  });
  const awaited = issued.flatMap(({ requestId, deviceId }) =>
    deviceId === undefined ? [] : [{ requestId, deviceId }],
  );
  return { state, lasting, awaited };
}

/** The devices of requests that were granted, by the keys they have now. */
async function awaitedOf({ store }: DeskParts, requests: readonly PairingRequestRow[]): Promise<readonly Awaited[]> {
  const ids = new Set(requests.flatMap(({ deviceId }) => deviceId ?? []));
  const rows = await Promise.all([...ids].map((deviceId) => store.devices.get(deviceId)));
  return rows.flatMap((row) => {
    if (row === undefined || row.revoked) return [];
    return [{ deviceId: row.deviceId, spkiSha256: new Uint8Array(Buffer.from(row.spkiSha256, "hex")) }];
  });
}

function endOf({ usesLeft, expiresAt }: WindowRow, now: number): string {
  if (usesLeft < 1) return "used";
  return now >= expiresAt ? "expired" : "closed";
}
