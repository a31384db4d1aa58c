/** A mesh on disk as pairing would have left it: a gateway's state with devices in it, and theirs. */
import { mkdir } from "node:fs/promises";
import { openSqliteStore, stateLayout, type CertificateRow, type Store } from "@quaymesh/gateway";
import {
  Authority,
  certificatesToPem,
  createCsr,
  createKeyFile,
  KeyPair,
  KeyStore,
  makePrivateDirectory,
  writeFileAtomic,
} from "@quaymesh/identity";
import { storeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import { layoutOf } from "../../../packages/node/src/state/layout.ts";

/** A device to make. */
export interface NewDevice {
  readonly deviceId: string;
  readonly labels: readonly string[];
  /** Its state directory. */
  readonly state: string;
}

/** Where they all dial; a harness says where that really is. */
const ADDRESS = { host: "127.0.0.1", port: 7420 };

/** A device's id. */
export function deviceIdOf(number: number): string {
  return `01JD8Q3V5K7M9P1R3T${String(number).padStart(8, "0")}`;
}

/** Make the mesh. The gateway's database is closed again when this resolves. */
export async function makeMesh(state: string, devices: readonly NewDevice[]): Promise<void> {
  const layout = stateLayout(state);
  await makePrivateDirectory(layout.directory);
  const keys = await KeyStore.open(layout.authority, { key: await createKeyFile(layout.authorityKey) });
  const authority = await Authority.create({ store: keys, meshName: "chaos", now: Date.now() });
  await using store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
  for (const device of devices) await enrol(authority, store, device);
}

async function enrol(authority: Authority, store: Store, { deviceId, labels, state }: NewDevice): Promise<void> {
  const now = Date.now();
  const node = layoutOf(state);
  await mkdir(state, { recursive: true, mode: 0o700 });
  const key = await KeyPair.generate();
  await writeFileAtomic(node.key, key.privatePem().reveal());
  const csr = await createCsr(key);
  const leaf = await authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: key.spkiSha256, now });
  const certificate: CertificateRow = {
    serial: leaf.serial,
    deviceId,
    spkiSha256: Buffer.from(leaf.spkiSha256).toString("hex"),
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    issuedAt: now,
    state: "active",
    chain: leaf.chain,
  };
  await store.devices.enroll({ deviceId, name: deviceId, labels, purpose: "", platform: "", certificate, now });
  await storeIdentity(node, {
    deviceId,
    meshId: authority.meshId,
    mesh: "chaos",
    addresses: [ADDRESS],
    chainPem: certificatesToPem(leaf.chain),
    rootPem: authority.rootPem,
    renewAfter: leaf.renewAfter,
    notAfter: leaf.notAfter,
  });
}
