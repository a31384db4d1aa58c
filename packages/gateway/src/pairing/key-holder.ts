/** Whose key somebody came with: an operator is to know before they approve. */
import type { PairingRequest } from "@quaymesh/identity";
import type { DeviceRow } from "../store/rows.ts";
import type { DeskParts } from "./desk-parts.ts";
import { printable } from "./printable.ts";
import type { KeyHolder, RequestView } from "./service.ts";

/** The device that has a key, or had it. @throws {GatewayError} `STORE_*` */
export async function holderOf(
  { store }: Pick<DeskParts, "store">,
  spkiSha256: Uint8Array,
): Promise<KeyHolder | undefined> {
  const row = await store.devices.findByKey(Buffer.from(spkiSha256).toString("hex"));
  return row === undefined ? undefined : keyHolder(row);
}

function keyHolder({ deviceId, name, revoked, frozenAt }: DeviceRow): KeyHolder {
  return { deviceId, name, state: revoked ? "revoked" : frozenAt === undefined ? "paired" : "frozen" };
}

/** A request as an operator is asked about it. */
export function askedView(
  { requestId, windowId, words, ...request }: PairingRequest,
  facts: Pick<RequestView, "name" | "remoteAddress" | "requestedAt" | "preapproved"> & {
    holder: KeyHolder | undefined;
  },
): RequestView {
  const { holder, ...rest } = facts;
  return {
    requestId,
    windowId,
    words,
    ...rest,
    state: "pending",
    name: facts.name || printable(request.name) || "unnamed",
    platform: printable(`${request.platform.os} ${request.platform.arch}`),
    deviceId: undefined,
    certificateNotAfter: undefined,
    ...(holder !== undefined && { holder }),
  };
}
