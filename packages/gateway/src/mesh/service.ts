/** The life of a mesh's root, and of its gateway's address, as operators see it. Times are Unix milliseconds. */

/** A root and the intermediate below it. */
interface RootView {
  /** 0: the mesh's first root; one more with each rotation. */
  readonly version: number;
  /** Lower-case hexadecimal SHA-256 of its SubjectPublicKeyInfo. */
  readonly fingerprint: string;
  readonly notAfter: number;
  readonly issuingNotAfter: number;
  /** Whether the gateway's own certificates hang from it. */
  readonly shown: boolean;
}

/** How far the rotation of a root is. */
export type RotationPhase =
  /** None is under way. */
  | "steady"
  /** Both roots are trusted; the gateway's own certificates hang from the old one. */
  | "overlap"
  /** Both are trusted; its certificates hang from the new one. */
  | "switched";

/** The roots of a mesh, and who has heard of them. */
export interface MeshRootView {
  readonly meshId: string;
  readonly meshName: string;
  /** Oldest first. */
  readonly roots: readonly RootView[];
  readonly phase: RotationPhase;
  /** Until when nodes trust both; absent while none is under way. */
  readonly overlapUntil: number | undefined;
  /** Whether the newest root's key is on this gateway. */
  readonly keyIsHere: boolean;
  /** Devices that are not revoked. */
  readonly devices: number;
  /** Of them: those that do not trust the newest root yet, as far as they have said. */
  readonly unaware: readonly string[];
  /** Of them: those whose newest certificate does not hang from it. */
  readonly outdated: readonly string[];
}

/** Where a gateway says it is or will be. */
export interface MoveView {
  readonly version: number;
  readonly at: number;
  readonly addresses: readonly string[];
  readonly pairing: readonly string[];
  readonly devices: number;
  /** Devices that have not stored it: they have not heard of it yet, or follow another. */
  readonly unaware: readonly string[];
}

/** A root's key as it was exported, and what opens it. */
export interface ExportedRootKey {
  readonly file: string;
  readonly passphrase: string;
}

/** What a step that needs the root's key takes: the exported key, where the gateway has none. */
interface RootKeyInput {
  readonly rootKey?: ExportedRootKey;
}

/** The mesh's root and the gateway's address. */
export interface MeshService {
  root(): Promise<MeshRootView>;
  /** The newest root's key, as a file that the passphrase opens. @throws {GatewayError} `ROOT_KEY_OFFLINE`, `REQUEST_INVALID` for a short passphrase */
  exportRootKey(passphrase: string): Promise<string>;
  /** Take that key off this gateway. @param fingerprint of the root whose key the caller has read back @throws {GatewayError} `ROOT_KEY_WRONG` for another root */
  removeRootKey(fingerprint: string): Promise<MeshRootView>;
  /** @throws {GatewayError} `ROOT_KEY_OFFLINE`, `ROOT_KEY_WRONG` */
  renewIssuing(input: RootKeyInput): Promise<MeshRootView>;
  /** Make another root, have both trusted, and tell the nodes. @throws {GatewayError} `ROTATION_STATE`, `ROOT_KEY_OFFLINE`, `ROOT_KEY_WRONG`, `REQUEST_INVALID` */
  startRotation(input: RootKeyInput & { readonly overlapMs?: number }): Promise<MeshRootView>;
  /** Have the gateway's own certificates hang from the new root. @throws {GatewayError} `ROTATION_STATE`; `DEVICES_BEHIND` unless forced */
  switchRotation(options: { readonly force: boolean }): Promise<MeshRootView>;
  /** Trust the old root no more. @throws {GatewayError} `ROTATION_STATE`; `DEVICES_BEHIND` unless forced */
  finishRotation(options: { readonly force: boolean }): Promise<MeshRootView>;
  /** Tell every node where the gateway will be, `host:port`; without pairing addresses: the same hosts, with the pairing endpoint's port of now. @throws {GatewayError} `REQUEST_INVALID` */
  move(input: { readonly addresses: readonly string[]; readonly pairing: readonly string[] }): Promise<MoveView>;
  /** The newest move; `undefined` where there never was one. */
  lastMove(): Promise<MoveView | undefined>;
}
