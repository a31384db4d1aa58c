import { X509Certificate } from "node:crypto";
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { dateFault, type PathCertificate, pathFault, readChain } from "./path.ts";
import { type DeviceLeaf, readDeviceLeaf } from "./read-leaf.ts";

/** What a device knows of the certificate that it expects. */
export interface ExpectedDeviceCertificate {
  /** The chain as issued, DER, leaf first, root not included. */
  readonly chain: readonly Uint8Array[];
  /** The trusted roots, DER; the chain must end in one of them. */
  readonly roots: readonly Uint8Array[];
  readonly meshId: string;
  readonly deviceId: string;
  /** Of this device's key. */
  readonly spkiSha256: Uint8Array;
  /** Unix milliseconds. */
  readonly now: number;
}

/**
 * Check a certificate this device was given, when paired and when renewed, before it replaces anything.
 * @throws {IdentityError} `CHAIN_INVALID` when it is not for this device, key and mesh; `CLOCK_SKEW` when this clock is outside its life
 */
export function verifyIssuedChain(expected: ExpectedDeviceCertificate): DeviceLeaf {
  const chain = chainTo(expected.chain, expected.roots);
  const leaf = readDeviceLeaf(expected.chain[0] ?? new Uint8Array());
  if (typeof leaf === "string") throw new IdentityError("CHAIN_INVALID", leaf);
  if (leaf.meshId !== expected.meshId || leaf.deviceId !== expected.deviceId) {
    throw new IdentityError("CHAIN_INVALID", `the certificate is for device ${leaf.deviceId} of mesh ${leaf.meshId}`);
  }
  if (!timingSafeEqualBytes(leaf.spkiSha256, expected.spkiSha256)) {
    throw new IdentityError("CHAIN_INVALID", "the certificate is for another key");
  }
  const skew = chain.map((certificate) => dateFault(certificate, expected.now)).find((text) => text !== undefined);
  if (skew !== undefined) throw new IdentityError("CLOCK_SKEW", skew);
  return leaf;
}

/** The path to the first root it leads to. @throws {IdentityError} `CHAIN_INVALID` where it leads to none */
function chainTo(issued: readonly Uint8Array[], roots: readonly Uint8Array[]): readonly PathCertificate[] {
  let why = "no root is trusted here";
  for (const root of roots) {
    const chain = readChain([...issued, root]);
    const fault = typeof chain === "string" ? chain : pathFault(chain);
    if (typeof chain !== "string" && fault === undefined) return chain;
    why = fault ?? why;
  }
  throw new IdentityError("CHAIN_INVALID", why);
}

/**
 * The name people gave the mesh: its root's common name.
 * @throws {IdentityError} `CHAIN_INVALID` when the root is not readable or has none
 */
export function meshNameOf(root: Uint8Array): string {
  try {
    const name = /^CN=(.+)$/m.exec(new X509Certificate(root).subject)?.[1];
    if (name !== undefined) return name;
  } catch (cause) {
    throw new IdentityError("CHAIN_INVALID", "the root is not readable", { cause });
  }
  throw new IdentityError("CHAIN_INVALID", "the root has no name");
}
