import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  KeyPair,
  KeyStore,
  certificatesToPem,
  createCsr,
  createKeyFile,
  meshServerName,
} from "@quaymesh/identity";
import type { TlsMaterial } from "./systems/system.ts";

/** Any device id will do: nothing is enrolled. */
const DEVICE_ID = "01JD8Q3V5K7M9P1R3T5W7Y9A1C";

/** Both ends of every system. */
export interface BenchCredentials {
  readonly server: TlsMaterial;
  readonly client: TlsMaterial;
}

/** A mesh's CA with a gateway's and a device's certificate, as in production: root, intermediate, P-256 leaves. Nothing of it stays on disk. */
export async function makeCredentials(): Promise<BenchCredentials> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-bench-"));
  try {
    const key = await createKeyFile(join(directory, "sealing.key"));
    const store = await KeyStore.open(join(directory, "ca"), { key });
    const now = Date.now();
    const authority = await Authority.create({ store, meshName: "bench", now });
    const shared = { rootPem: authority.rootPem, serverName: meshServerName(authority.meshId) };
    const gateway = await authority.issueGatewayLeaf({ now });
    const device = await KeyPair.generate();
    const issued = await authority.issueDeviceLeaf({
      csr: await createCsr(device),
      deviceId: DEVICE_ID,
      expectedSpkiSha256: device.spkiSha256,
      now,
    });
    const keyPem = device.privatePem().reveal();
    return {
      server: { ...shared, ...gateway.credentials },
      client: { ...shared, keyPem, chainPem: certificatesToPem(issued.chain) },
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
