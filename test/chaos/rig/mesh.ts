/** A mesh on disk as pairing would have left it: a gateway's state with devices in it, and theirs. */
import { mkdir } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { storeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import { layoutOf } from "../../../packages/node/src/state/layout.ts";
import { enrolDevice, foundMesh } from "./enrol.ts";

/** A device to make. */
export interface NewDevice {
  readonly deviceId: string;
  readonly labels: readonly string[];
  /** Its state directory. */
  readonly state: string;
}

/** Where they all dial; a harness says where that really is. */
const ADDRESS = { host: "127.0.0.1", port: 7420 };
const MESH_NAME = "chaos";

/** Make the mesh. The gateway's database is closed again when this resolves. */
export async function makeMesh(state: string, devices: readonly NewDevice[]): Promise<void> {
  await using founded = await foundMesh(state, MESH_NAME);
  const { meshId, rootPem } = founded.authority;
  for (const { deviceId, labels, state: at } of devices) {
    const { keyPem, ...certificate } = await enrolDevice(founded, { deviceId, name: deviceId, labels });
    const node = layoutOf(at);
    await mkdir(at, { recursive: true, mode: 0o700 });
    await writeFileAtomic(node.key, keyPem);
    await storeIdentity(node, { deviceId, meshId, mesh: MESH_NAME, addresses: [ADDRESS], rootPem, ...certificate });
  }
}
