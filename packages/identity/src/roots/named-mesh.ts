import type { X509Certificate } from "node:crypto";
import { isMeshId, meshIdOf } from "../authority/names.ts";

/** The URI by which a root that follows another names its mesh. */
export function meshUri(meshId: string): string {
  return `spiffe://${meshId}`;
}

/**
 * The mesh a root names. The first root of a mesh gives it its id by its key; a later one says which it is in a URI of its alternative name.
 * What a root says of itself is no proof: a pin, a statement of the root before it, or a pairing that binds the id has to be.
 */
export function meshNamedBy(root: X509Certificate, spkiSha256: Uint8Array): string {
  const named = /^URI:spiffe:\/\/([a-z2-7]{16})$/.exec(root.subjectAltName ?? "")?.[1];
  return named !== undefined && isMeshId(named) ? named : meshIdOf(spkiSha256);
}
