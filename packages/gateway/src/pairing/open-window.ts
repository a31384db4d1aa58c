import type { GatewayPairingEffect, WindowSetup } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { ulid } from "ulid";
import { formatAddress } from "../daemon/addresses.ts";
import { GatewayError } from "../errors.ts";
import { codeNameOf, drawCodes, eraseCode } from "./code.ts";
import type { DeskParts } from "./desk-parts.ts";
import { sealCode } from "./lasting-windows.ts";
import { windowRow, type WindowFacts } from "./records.ts";
import type { Rooms } from "./rooms.ts";
import type { OpenedWindow, OpenWindow } from "./service.ts";

/** What opening a window works with. */
export interface Opening {
  readonly parts: Pick<DeskParts, "authority" | "clock" | "devices" | "limits" | "store">;
  readonly rooms: Rooms;
  /** What a ticket says of where the endpoint is. */
  readonly addresses: readonly SocketAddress[];
  /** A window with a PIN is open: it has no name on the wire, so there can be one at a time. */
  readonly pinTaken: boolean;
  /** Give the machine its window. */
  readonly enter: (setup: WindowSetup) => readonly GatewayPairingEffect[];
}

/** What is known of the window's device. @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED` */
export async function windowFactsOf(options: OpenWindow, devices: DeskParts["devices"]): Promise<WindowFacts> {
  const { name, labels, purpose, device, preapproved = false, uses = 1 } = options;
  if (device === undefined) return { name, labels, purpose, preapproved, uses };
  const known = await devices.get(device);
  if (known.state === "revoked") throw new GatewayError("DEVICE_REVOKED", `device ${known.deviceId} is revoked`);
  return {
    deviceId: known.deviceId,
    name: name === "" ? known.name : name,
    labels: labels.length === 0 ? known.labels : labels,
    purpose: purpose === "" ? known.purpose : purpose,
    preapproved,
    uses,
  };
}

/** Draw the codes, write the window down, and let the machine have it. @throws {GatewayError} `WINDOW_LIMIT`, `WINDOW_INVALID`, `STORE_*` */
export async function openWindow(options: OpenWindow, facts: WindowFacts, opening: Opening): Promise<OpenedWindow> {
  const { parts, rooms, addresses, pinTaken, enter } = opening;
  const { clock, limits, store, authority } = parts;
  const windowId = ulid();
  const openedAt = clock.now();
  const expiresAt = Math.ceil((openedAt + (options.ttlMs ?? limits.windowTtlMs)) / 1000) * 1000;
  const { meshId, rootSpkiSha256 } = authority;
  const wanted = options.code === "both" && pinTaken ? { code: "ticket" as const } : options;
  const { secrets, link, pin } = drawCodes(wanted, { meshId, rootSpkiSha256, addresses, expiresAt });
  const codeId = codeNameOf(secrets);
  const { preapproved, uses, deviceId } = facts;
  const sealedCode = preapproved ? sealCode(authority, windowId, secrets) : undefined;
  await store.pairing.putWindow(windowRow(facts, { windowId, codeId, openedAt, expiresAt, sealedCode }));
  rooms.open(windowId, facts);
  const effects = enter({ windowId, codes: secrets, expiresAt, uses, preapproved, deviceId });
  if (effects.some(({ kind }) => kind === "rejected")) {
    for (const secret of secrets) eraseCode(secret);
    rooms.endWindow(windowId, "closed");
    await store.pairing.moveWindow({ windowId, from: ["open"], to: "closed" });
    throw new GatewayError("WINDOW_LIMIT", "a window with a PIN is open already, and there can be one at a time");
  }
  return { windowId, link, pin, expiresAt, addresses: addresses.map(formatAddress) };
}
