/** An authority, and devices that it has certified: what tests and rigs need of a mesh that do not ask a gateway for it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  createCsr,
  createKeyFile,
  KeyPair,
  KeyStore,
  type IssuedDeviceCertificate,
} from "@quaymesh/identity";

/** What a device has of its enrolment. */
export interface CertifiedDevice {
  readonly key: KeyPair;
  readonly issued: IssuedDeviceCertificate;
}

/** The authority of a new mesh, in a directory that is gone again: its keys stay in memory. @param now Unix milliseconds */
export async function temporaryAuthority(meshName: string, now: number): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-authority-"));
  try {
    const key = await createKeyFile(join(directory, "sealing.key"));
    return await Authority.create({ store: await KeyStore.open(join(directory, "keys"), { key }), meshName, now });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A key, and a certificate for it. @param now Unix milliseconds */
export async function certifyDevice(authority: Authority, deviceId: string, now: number): Promise<CertifiedDevice> {
  const key = await KeyPair.generate();
  const csr = await createCsr(key);
  return { key, issued: await authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: key.spkiSha256, now }) };
}
