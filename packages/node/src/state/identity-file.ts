import { readFile } from "node:fs/promises";
import {
  certificatesFromPem,
  IdentityError,
  isDeviceId,
  isMeshId,
  KeyPair,
  readDeviceLeaf,
  Secret,
  writeFileAtomic,
} from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { formatAddress, parseAddress } from "./address.ts";
import type { StateLayout } from "./layout.ts";
import { decodeSummed, encodeSummed } from "./summed.ts";

const VERSION = 1;

/** What pairing gave this node, as it is kept. Times are Unix milliseconds. */
export interface NodeIdentity {
  readonly deviceId: string;
  readonly meshId: string;
  /** The mesh's name, for people. */
  readonly mesh: string;
  /** Mesh endpoints, best first; one at least. */
  readonly addresses: readonly SocketAddress[];
  /** Pairing endpoint, best first: where a certificate that has run out is renewed. Unknown to a node that was paired before gateways told it. */
  readonly pairingAddresses?: readonly SocketAddress[];
  /** This device's certificate, leaf first, root not included. */
  readonly chainPem: string;
  /** The roots that are trusted, the newest last: the one that was pinned, or two while one takes over from the other. */
  readonly rootPem: string;
  /** Of the statement that led to the newest root. Absent: pairing did. */
  readonly rootVersion?: number;
  /** Until when the older of two roots is trusted; absent where there is one. */
  readonly oldRootUntil?: number;
  /** Of the newest move of the gateway that was followed. */
  readonly moveVersion?: number;
  /** Where the gateway was before it moved: tried after `addresses`. */
  readonly formerAddresses?: readonly SocketAddress[];
  /** Until when those are tried; absent while no session at a new one has proved the move. */
  readonly formerUntil?: number;
  /** When to ask for the next certificate. */
  readonly renewAfter: number;
  /** When the certificate runs out. */
  readonly notAfter: number;
}

/**
 * Read what pairing stored.
 * @throws {NodeError} `NODE_NOT_PAIRED`, `STATE_CORRUPT`, `STATE_VERSION`, `STATE_UNREADABLE`
 */
export async function loadIdentity(layout: StateLayout): Promise<NodeIdentity> {
  const identity = await findIdentity(layout);
  if (identity !== undefined) return identity;
  throw new NodeError("NODE_NOT_PAIRED", `this node is not paired: there is no identity in ${layout.directory}`, {
    details: { state: layout.directory },
  });
}

/**
 * {@link loadIdentity}, where having none is not an error.
 * @throws {NodeError} `STATE_CORRUPT`, `STATE_VERSION`, `STATE_UNREADABLE`
 */
export async function findIdentity(layout: StateLayout): Promise<NodeIdentity | undefined> {
  const text = await readIfThere(layout.identity);
  return text === undefined ? undefined : parseIdentity(text, layout.identity);
}

/** Replace what is stored, as a whole. @throws {NodeError} `STATE_UNREADABLE` */
export async function storeIdentity(layout: StateLayout, identity: NodeIdentity): Promise<void> {
  const { addresses, pairingAddresses, formerAddresses, ...rest } = identity;
  const endpoints = {
    addresses: addresses.map(formatAddress),
    ...(pairingAddresses !== undefined && { pairingAddresses: pairingAddresses.map(formatAddress) }),
    ...(formerAddresses !== undefined && { formerAddresses: formerAddresses.map(formatAddress) }),
  };
  try {
    await writeFileAtomic(layout.identity, encodeSummed({ version: VERSION, ...rest, ...endpoints }));
  } catch (cause) {
    throw new NodeError("STATE_UNREADABLE", `could not write ${layout.identity}`, { cause });
  }
}

/**
 * The device's key; made, and on disk, when there is none.
 * @throws {NodeError} `STATE_CORRUPT`, `STATE_UNREADABLE`
 */
export async function loadOrCreateKey(layout: StateLayout): Promise<KeyPair> {
  const pem = await readIfThere(layout.key);
  if (pem !== undefined) return parseKey(pem, layout.key);
  const key = await KeyPair.generate();
  try {
    await writeFileAtomic(layout.key, key.privatePem().reveal());
  } catch (cause) {
    throw new NodeError("STATE_UNREADABLE", `could not write ${layout.key}`, { cause });
  }
  return key;
}

/**
 * The key that belongs to `identity`.
 * @throws {NodeError} `DEVICE_KEY_MISSING`; `STATE_CORRUPT` when it is another; `STATE_UNREADABLE`
 */
export async function loadKeyOf(layout: StateLayout, identity: NodeIdentity): Promise<KeyPair> {
  const pem = await readIfThere(layout.key);
  if (pem === undefined) {
    throw new NodeError("DEVICE_KEY_MISSING", `this device's key is gone: there is no ${layout.key}`, {
      details: { file: layout.key },
    });
  }
  const key = await parseKey(pem, layout.key);
  const leafDer = certificatesFromPem(identity.chainPem)[0];
  const leaf = leafDer === undefined ? "no certificate" : readDeviceLeaf(leafDer);
  if (typeof leaf === "string") throw corruptState(layout.identity, leaf);
  if (Buffer.compare(leaf.spkiSha256, key.spkiSha256) !== 0) {
    throw corruptState(layout.key, "the key is not the one the certificate is for");
  }
  return key;
}

async function parseKey(pem: string, path: string): Promise<KeyPair> {
  try {
    return await KeyPair.fromPem(new Secret(pem));
  } catch (cause) {
    throw corruptState(path, "the device's key is not readable", cause);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new NodeError("STATE_UNREADABLE", `could not read ${path}`, { cause, details: { file: path } });
  }
}

function parseIdentity(text: string, path: string): NodeIdentity {
  const fields = decodeSummed(text);
  if (typeof fields === "string") throw corruptState(path, fields);
  const version = fields.get("version");
  if (version !== VERSION) {
    if (typeof version !== "number") throw corruptState(path, "it has no version");
    throw new NodeError("STATE_VERSION", `${path} has version ${version}; this program reads version ${VERSION}`);
  }
  const textOf = (name: string): string => {
    const field = fields.get(name);
    if (typeof field !== "string" || field === "") throw corruptState(path, `${name} is missing`);
    return field;
  };
  const numberOf = (name: string): number => {
    const field = fields.get(name);
    if (typeof field !== "number" || !Number.isFinite(field)) throw corruptState(path, `${name} is missing`);
    return field;
  };
  const addressesOf = (name: string): readonly SocketAddress[] => {
    const listed = fields.get(name);
    const addresses = Array.isArray(listed)
      ? listed.map((item) => (typeof item === "string" ? parseAddress(item) : undefined))
      : [];
    const good = addresses.filter((address) => address !== undefined);
    if (good.length !== addresses.length) throw corruptState(path, `${name} are wrong`);
    return good;
  };
  const addresses = addressesOf("addresses");
  if (addresses.length === 0) throw corruptState(path, "addresses are missing");
  const identity: NodeIdentity = {
    deviceId: textOf("deviceId"),
    meshId: textOf("meshId"),
    mesh: textOf("mesh"),
    addresses,
    ...(fields.has("pairingAddresses") && { pairingAddresses: addressesOf("pairingAddresses") }),
    chainPem: textOf("chainPem"),
    rootPem: textOf("rootPem"),
    ...(fields.has("rootVersion") && { rootVersion: numberOf("rootVersion") }),
    ...(fields.has("oldRootUntil") && { oldRootUntil: numberOf("oldRootUntil") }),
    ...(fields.has("moveVersion") && { moveVersion: numberOf("moveVersion") }),
    ...(fields.has("formerAddresses") && { formerAddresses: addressesOf("formerAddresses") }),
    ...(fields.has("formerUntil") && { formerUntil: numberOf("formerUntil") }),
    renewAfter: numberOf("renewAfter"),
    notAfter: numberOf("notAfter"),
  };
  if (!isDeviceId(identity.deviceId) || !isMeshId(identity.meshId)) throw corruptState(path, "its ids are wrong");
  checkCertificates(identity, path);
  return identity;
}

function checkCertificates(identity: NodeIdentity, path: string): void {
  try {
    certificatesFromPem(identity.chainPem);
    certificatesFromPem(identity.rootPem);
  } catch (cause) {
    if (cause instanceof IdentityError) throw corruptState(path, "its certificates are not readable", cause);
    throw cause;
  }
}

function corruptState(path: string, what: string, cause?: unknown): NodeError {
  return new NodeError("STATE_CORRUPT", `${path} is damaged: ${what}`, {
    details: { file: path },
    ...(cause !== undefined && { cause }),
  });
}
