/** A gateway's state on disk, and devices in it as pairing would have enrolled them. */
import { openSqliteStore, stateLayout, type Store } from "@quaymesh/gateway";
import { Authority, certificatesToPem, createKeyFile, KeyStore, makePrivateDirectory } from "@quaymesh/identity";
import { certificateRow } from "../../../packages/gateway/src/devices/certificate-row.ts";
import { certifyDevice } from "../../authority.ts";

/** A mesh that devices are enrolled in. Disposing closes the gateway's database, and leaves all of it on the disk. */
export interface FoundedMesh extends AsyncDisposable {
  readonly authority: Authority;
  readonly store: Store;
}

/** What a device has of its enrolment. */
export interface EnrolledDevice {
  readonly keyPem: string;
  readonly chainPem: string;
  /** Unix milliseconds. */
  readonly renewAfter: number;
  /** Unix milliseconds. */
  readonly notAfter: number;
}

/** Make a gateway's state directory, with the authority of a new mesh and a database. */
export async function foundMesh(state: string, meshName: string): Promise<FoundedMesh> {
  const layout = stateLayout(state);
  await makePrivateDirectory(layout.directory);
  const keys = await KeyStore.open(layout.authority, { key: await createKeyFile(layout.authorityKey) });
  const authority = await Authority.create({ store: keys, meshName, now: Date.now() });
  const store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
  return { authority, store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/** Enrol a device with a key and a certificate of its own. */
export async function enrolDevice(
  { authority, store }: FoundedMesh,
  device: { readonly deviceId: string; readonly name: string; readonly labels: readonly string[] },
): Promise<EnrolledDevice> {
  const now = Date.now();
  const { key, issued } = await certifyDevice(authority, device.deviceId, now);
  await store.devices.enroll({ ...device, purpose: "", platform: "", certificate: certificateRow(issued, now), now });
  const { renewAfter, notAfter, chain } = issued;
  return { keyPem: key.privatePem().reveal(), chainPem: certificatesToPem(chain), renewAfter, notAfter };
}

/** The id of a numbered device: the time and half of the randomness of a ULID, then the number. */
export function deviceIdOf(number: number): string {
  return `01JD8Q3V5K7M9P1R3T${String(number).padStart(8, "0")}`;
}
