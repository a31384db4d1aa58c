/** What a mesh says of itself: its roots, and where its gateway is. docs/wire.md, "Statements of a mesh". */
import { Type, type Static } from "typebox";
import { bytes, message, request, text, uint } from "./common.ts";

/** Most statements about roots in one message: a device that missed more rotations pairs again. */
export const MAX_ROOT_STATEMENTS = 6;

const keyHash = () => bytes(32, 32);
const signature = () => bytes(64, 64);

const rootStatement = Type.Object({
  version: uint(),
  /** SHA-256 of the SubjectPublicKeyInfo of the root that signs. */
  signer: keyHash(),
  /** The root that follows it, DER. */
  root: bytes(1, 2048),
  /** Until when both are to be trusted, Unix milliseconds. */
  until: uint(),
  signature: signature(),
});

/** Opens a stream on the pairing endpoint: how do the roots of this mesh follow each other? Answered with `roots`. */
export const rootsRequest = request("mesh.roots", {});
/** Gateway to node: how one root led to the next, oldest first. */
export const roots = message("roots", {
  statements: Type.Array(rootStatement, { maxItems: MAX_ROOT_STATEMENTS }),
  /** Only the newest is trusted by the gateway now. */
  settled: Type.Boolean(),
});
/** Node to gateway: these are the roots it trusts, as stored; SHA-256 of each one's SubjectPublicKeyInfo, the newest last. */
export const rootsApplied = message("roots.applied", { roots: Type.Array(keyHash(), { minItems: 1, maxItems: 2 }) });
/** Gateway to node: where it is from now on, or will be. */
export const moved = message("moved", {
  version: uint(),
  time: uint(),
  addresses: Type.Array(text(260), { minItems: 1, maxItems: 8 }),
  pairing: Type.Array(text(260), { maxItems: 8 }),
  /** The intermediate that signs, DER. */
  issuer: bytes(1, 2048),
  signature: signature(),
});
/** Node to gateway: the newest move it has stored. */
export const movedApplied = message("moved.applied", { version: uint() });

/** Opens `mesh.roots`. */
export type RootsRequest = Static<typeof rootsRequest>;
/** How the roots of a mesh follow each other. */
export type Roots = Static<typeof roots>;
/** Where a gateway is from now on. */
export type Moved = Static<typeof moved>;
/** What a gateway tells a node of its mesh. */
export type MeshNews = Roots | Moved;
/** What a node has stored of it. */
export type MeshNewsApplied = Static<typeof rootsApplied> | Static<typeof movedApplied>;
