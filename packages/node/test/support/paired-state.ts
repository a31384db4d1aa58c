import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificatesToPem, writeFileAtomic, type Authority, type KeyPair } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { storeIdentity } from "../../src/state/identity-file.ts";
import { layoutOf } from "../../src/state/layout.ts";
import { certifyDevice, temporaryAuthority } from "../../../../test/authority.ts";

export const DEVICE_ID = "01JD0K3X9Y8QZ7V6T5S4R3P2N1";
export const MESH_ADDRESS: SocketAddress = { host: "192.0.2.10", port: 7420 };

/** A private directory that goes with its scope. */
export async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-node-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** See {@link temporaryAuthority}. */
export async function createAuthority(meshName = "harbor", now = Date.now()): Promise<Authority> {
  return await temporaryAuthority(meshName, now);
}

/** Put into `directory` what pairing with `authority` would have left there. */
export async function pairState(
  directory: string,
  authority: Authority,
  options: {
    readonly addresses?: readonly SocketAddress[];
    readonly renewAfter?: number;
    readonly now?: number;
    readonly pairingAddresses?: readonly SocketAddress[];
  } = {},
): Promise<KeyPair> {
  const layout = layoutOf(directory);
  const { key, issued } = await certifyDevice(authority, DEVICE_ID, options.now ?? Date.now());
  await writeFileAtomic(layout.key, key.privatePem().reveal());
  await storeIdentity(layout, {
    deviceId: DEVICE_ID,
    meshId: authority.meshId,
    mesh: "harbor",
    addresses: options.addresses ?? [MESH_ADDRESS],
    ...(options.pairingAddresses && { pairingAddresses: options.pairingAddresses }),
    chainPem: certificatesToPem(issued.chain),
    rootPem: authority.rootPem,
    renewAfter: options.renewAfter ?? issued.renewAfter,
    notAfter: issued.notAfter,
  });
  return key;
}
