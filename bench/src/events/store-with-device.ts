import { randomBytes } from "node:crypto";
import { openSqliteStore, stateLayout } from "@quaymesh/gateway";
import { deviceIdOf } from "../../../test/chaos/rig/enrol.ts";
import { makeMesh } from "../../../test/chaos/rig/mesh.ts";

/** A store with one device in it, whose outbox is registered. The store is closed again. */
export async function makeStore(
  directory: string,
): Promise<{ readonly path: string; readonly deviceId: string; readonly outboxEpoch: Uint8Array }> {
  const deviceId = deviceIdOf(0);
  const outboxEpoch = new Uint8Array(randomBytes(16));
  await makeMesh(`${directory}/gateway`, [{ deviceId, labels: [], state: `${directory}/node` }]);
  const path = stateLayout(`${directory}/gateway`).database;
  await using store = await openSqliteStore({ path });
  const facts = { software: "", platform: "", remoteAddress: "", capabilities: [] };
  await store.sessions.open({ deviceId, outboxEpoch, ...facts, now: Date.now() });
  return { path, deviceId, outboxEpoch };
}
