/** What the client says of a mesh: plain data, times in Unix milliseconds. */

/** A root and the issuing intermediate below it. */
export interface RootInfo {
  /** 0: the mesh's first; one more with each rotation. */
  readonly version: number;
  /** Lower-case hexadecimal SHA-256 of its SubjectPublicKeyInfo. */
  readonly fingerprint: string;
  readonly notAfter: number | undefined;
  readonly issuingNotAfter: number | undefined;
  /** Whether the gateway's own certificates hang from it. */
  readonly shown: boolean;
}

/** The roots of a mesh. */
export interface MeshRootInfo {
  readonly meshId: string;
  readonly meshName: string;
  /** Oldest first: one, or two while a rotation is under way. */
  readonly roots: readonly RootInfo[];
  /** `overlap`: both roots are trusted, and the gateway's own certificates hang from the old one; `switched`: from the new one. */
  readonly phase: "steady" | "overlap" | "switched";
  /** Until when nodes trust both. */
  readonly overlapUntil: number | undefined;
  /** Whether the newest root's key is on the gateway. */
  readonly keyIsHere: boolean;
  /** Devices that are not revoked. */
  readonly devices: number;
  /** Names of those that do not trust the newest root yet. */
  readonly unaware: readonly string[];
  /** Names of those whose newest certificate does not hang from it. */
  readonly outdated: readonly string[];
}

/** Where a gateway says it will be. */
export interface GatewayMoveInfo {
  readonly version: number;
  readonly at: number | undefined;
  readonly addresses: readonly string[];
  readonly pairing: readonly string[];
  readonly devices: number;
  /** Names of devices that have not stored it yet. */
  readonly unaware: readonly string[];
}

/** A root's key as it was exported, and what opens it. */
export interface ExportedRootKey {
  readonly file: string;
  readonly passphrase: string;
}
