import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  createCsr,
  createKeyFile,
  IdentityError,
  type KeyPair,
  KeyStore,
  sha256,
  type IdentityErrorCode,
  type IssuedDeviceCertificate,
  type SealingKey,
} from "@quaymesh/identity";
import { expect } from "vitest";

/** A fixed moment: 2026-01-02T03:04:05Z. */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

export const DEVICE_ID = "01JD0K3X9Y8QZ7V6T5S4R3P2N1";
export const OTHER_DEVICE_ID = "01JD0K3X9Y8QZ7V6T5S4R3P2N2";

/** A private directory that goes with its scope. */
export class TemporaryDirectory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async open(): Promise<TemporaryDirectory> {
    return new TemporaryDirectory(await mkdtemp(join(tmpdir(), "quaymesh-identity-")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await chmod(this.path, 0o700);
    await rm(this.path, { recursive: true, force: true });
  }
}

/** A mesh in a directory. */
export interface TestMesh {
  readonly authority: Authority;
  readonly store: KeyStore;
  readonly key: SealingKey;
}

export async function createMesh(
  directory: string,
  options: { meshName?: string; now?: number } = {},
): Promise<TestMesh> {
  const key = await createKeyFile(join(directory, "sealing.key"));
  const store = await KeyStore.open(join(directory, "keys"), { key });
  const { meshName = "harbor", now = NOW } = options;
  return { authority: await Authority.create({ store, meshName, now }), store, key };
}

/** Expect an {@link IdentityError} with this code. */
export async function expectCode(code: IdentityErrorCode, act: () => unknown): Promise<IdentityError> {
  let error: unknown;
  try {
    await act();
  } catch (caught) {
    error = caught;
  }
  if (!(error instanceof IdentityError)) throw new Error(`expected ${code}, got ${String(error)}`, { cause: error });
  expect(error.code).toBe(code);
  return error;
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo, read by OpenSSL. */
export function spkiOf(der: Uint8Array | undefined): Uint8Array {
  return sha256(new X509Certificate(der ?? new Uint8Array()).publicKey.export({ type: "spki", format: "der" }));
}

/** A certificate for a device of `from`. */
export async function issue(
  from: TestMesh,
  keyPair: KeyPair,
  deviceId = DEVICE_ID,
  now = NOW,
): Promise<IssuedDeviceCertificate> {
  const csr = await createCsr(keyPair);
  return await from.authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: keyPair.spkiSha256, now });
}
