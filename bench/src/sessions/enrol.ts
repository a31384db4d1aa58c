import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore, stateLayout, type CertificateRow, type Store } from "@quaymesh/gateway";
import {
  Authority,
  KeyPair,
  KeyStore,
  certificatesToPem,
  createCsr,
  createKeyFile,
  makePrivateDirectory,
  meshServerName,
} from "@quaymesh/identity";
import { writeDevices, type DeviceFile } from "./devices.ts";

/** A gateway's state with devices in it, and the devices' credentials. Disposing removes both from the disk. */
export interface Enrolled extends AsyncDisposable {
  /** The state directory. */
  readonly state: string;
  readonly devicesFile: string;
}

/** The store commits what waits together. */
const AT_ONCE = 64;
/** The time and half of the randomness of a ULID; the devices' numbers follow. */
const ID_PREFIX = "01JD8Q3V5K7M9P1R3T";
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_NUMBER_CHARS = 8;

/**
 * Make a mesh and enrol `count` devices, each with a key and a certificate of its own, as pairing would: in the state that a gateway then starts with.
 * @throws rethrows `signal.reason`; what identity and store throw
 */
export async function enrolDevices(count: number, signal: AbortSignal): Promise<Enrolled> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-bench-"));
  const enrolled = {
    state: join(directory, "gateway"),
    devicesFile: join(directory, "devices.json"),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
  try {
    const layout = stateLayout(enrolled.state);
    await makePrivateDirectory(layout.directory);
    const keys = await KeyStore.open(layout.authority, { key: await createKeyFile(layout.authorityKey) });
    const authority = await Authority.create({ store: keys, meshName: "bench", now: Date.now() });
    await using store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
    const devices: DeviceFile[] = [];
    while (devices.length < count) {
      signal.throwIfAborted();
      const first = devices.length;
      const batch = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) => first + index);
      devices.push(...(await Promise.all(batch.map((number) => enrolOne(authority, store, number)))));
    }
    const serverName = meshServerName(authority.meshId);
    await writeDevices(enrolled.devicesFile, { rootPem: authority.rootPem, serverName, devices });
    return enrolled;
  } catch (error) {
    await enrolled[Symbol.asyncDispose]();
    throw error;
  }
}

async function enrolOne(authority: Authority, store: Store, number: number): Promise<DeviceFile> {
  const now = Date.now();
  const deviceId = deviceIdOf(number);
  const key = await KeyPair.generate();
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
  const name = `device-${String(number)}`;
  await store.devices.enroll({ deviceId, name, labels: [], purpose: "", platform: "", certificate, now });
  return { deviceId, keyPem: key.privatePem().reveal(), chainPem: certificatesToPem(leaf.chain) };
}

function deviceIdOf(number: number): string {
  let digits = "";
  for (let rest = number; digits.length < ID_NUMBER_CHARS; rest = Math.floor(rest / CROCKFORD.length)) {
    digits = (CROCKFORD[rest % CROCKFORD.length] ?? "") + digits;
  }
  return ID_PREFIX + digits;
}
