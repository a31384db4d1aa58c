/** ALPN of the mesh endpoint. docs/wire.md, "Transport". */
export const MESH_PROTOCOL = "quaymesh/1";
/** ALPN of the pairing endpoint. */
export const PAIRING_PROTOCOL = "quaymesh-pair/1";
