/** The pairing stream, on its own endpoint with ALPN `quaymesh-pair/1`. docs/wire.md, "Pairing". */
import { Type, type Static } from "typebox";
import { bytes, deviceId, message, request, text, uint } from "./common.ts";

/** Node to gateway, the request frame. */
export const pairHello = request("pair", {
  /** Names the ticket, or the code that the node shows itself; absent with a PIN. */
  codeId: Type.Optional(bytes(8, 8)),
  /** The code is one that this node shows: it is good for this node's key alone. */
  own: Type.Optional(Type.Boolean()),
  nonce: bytes(16, 16),
  /** The node's CPace share. */
  ya: bytes(32, 32),
  name: text(64),
  platform: Type.Object({ os: text(32), arch: text(32) }),
  /** SHA-256 of the CSR that `prove` will carry. */
  csrHash: bytes(32, 32),
});
/** Gateway to node. */
export const pairShare = message("share", { nonce: bytes(16, 16), yb: bytes(32, 32) });
/** Node to gateway. */
export const pairProve = message("prove", { mac: bytes(64, 64), csr: bytes(1, 2048) });
/** Gateway to node: it knows the secret too. `root` is the mesh root, DER. */
export const pairProved = message("proved", {
  mac: bytes(64, 64),
  root: bytes(1, 2048),
  mesh: text(64),
  requestId: text(64),
});
/** Gateway to node: the certificate, DER, leaf first, root not included. */
export const pairIssued = message("issued", {
  chain: Type.Array(bytes(1, 2048), { minItems: 1, maxItems: 3 }),
  deviceId,
  /** Unix milliseconds. */
  renewAfter: uint(),
  /** Where the mesh endpoint listens: `host:port`. */
  addresses: Type.Array(text(260), { minItems: 1, maxItems: 8 }),
  /** Where the pairing endpoint listens while it is open, the same way. */
  pairing: Type.Optional(Type.Array(text(260), { maxItems: 8 })),
});
/** Node to gateway, its last message: stored, going to the mesh endpoint. */
export const pairDone = message("done", {});

/** Opens `pair`. */
export type PairHello = Static<typeof pairHello>;
/** The gateway's half of CPace. */
export type PairShare = Static<typeof pairShare>;
/** The node's proof that it knows the secret, and its certificate request. */
export type PairProve = Static<typeof pairProve>;
/** The gateway's proof, and the mesh root to pin. */
export type PairProved = Static<typeof pairProved>;
/** The certificate, once the operator has approved. */
export type PairIssued = Static<typeof pairIssued>;
/** What a node sends on `pair` after its hello. */
export type PairToGateway = PairProve | Static<typeof pairDone>;
/** What a gateway sends on `pair`. */
export type PairToNode = PairShare | PairProved | PairIssued;
