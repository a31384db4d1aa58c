/** What both machines compute alike. docs/wire.md, "Pairing"; docs/adr/0004-cpace-and-words.md. */
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha512 } from "@noble/hashes/sha2.js";
import type { PairHello, PairShare } from "@quaymesh/protocol";
import { utf8 } from "../bytes.ts";
import { type CpaceMessage, intermediateKey, publicShare, secretPoint } from "../cpace/cpace.ts";
import { lvCat } from "../cpace/encoding.ts";

/** The TLS session that a pairing stream runs in, as one side sees it. */
export interface PairingChannel {
  readonly meshId: string;
  /** SHA-256 of the SubjectPublicKeyInfo the node showed, 32 bytes. */
  readonly nodeSpkiSha256: Uint8Array;
  /** The same of the gateway. */
  readonly gatewaySpkiSha256: Uint8Array;
}

/** What is needed of the hello to compute with it. */
export type HelloFields = Omit<PairHello, "v" | "method" | "ya">;

/** Keys and transcript of one run. */
export interface PairingKeys {
  /** SHA-512 over everything both sides said and saw until the share, 64 bytes. */
  readonly transcript: Uint8Array;
  readonly nodeKey: Uint8Array;
  readonly gatewayKey: Uint8Array;
}

const EMPTY = new Uint8Array();
const KEY_BYTES = 64;

/** CPace's channel identifier. Someone in between shows another key to at least one side, so the two sides differ in it. */
export function channelIdentifier({ meshId, nodeSpkiSha256, gatewaySpkiSha256 }: PairingChannel): Uint8Array {
  return lvCat(utf8("quaymesh-pair/1"), utf8(meshId), utf8("node"), nodeSpkiSha256, utf8("gateway"), gatewaySpkiSha256);
}

/** This side's CPace share for a secret. */
export function pairingShare(secret: Uint8Array, channel: PairingChannel, scalar: Uint8Array): Uint8Array {
  return publicShare({ prs: secret, ci: channelIdentifier(channel), sid: EMPTY }, scalar);
}

/**
 * The keys of a run, from either side.
 * @param run.scalar this side's 32 random bytes; `run.peerShare` the other side's share
 * @returns `undefined` when the peer's share is no valid element: the run must be aborted
 */
export function pairingKeys(run: {
  readonly channel: PairingChannel;
  readonly hello: HelloFields;
  readonly ya: Uint8Array;
  readonly share: Pick<PairShare, "nonce" | "yb">;
  readonly scalar: Uint8Array;
  readonly peerShare: Uint8Array;
}): PairingKeys | undefined {
  const secret = secretPoint(run.scalar, run.peerShare);
  if (secret === undefined) return undefined;
  const a: CpaceMessage = { share: run.ya, ad: helloData(run.hello) };
  const b: CpaceMessage = { share: run.share.yb, ad: lvCat(run.share.nonce) };
  const ci = channelIdentifier(run.channel);
  const transcript = sha512(lvCat(utf8("quaymesh pairing transcript"), ci, a.share, a.ad, b.share, b.ad));
  const isk = intermediateKey(EMPTY, secret, a, b);
  const keys = hkdf(sha512, isk, transcript, utf8("quaymesh pairing keys"), 2 * KEY_BYTES);
  return { transcript, nodeKey: keys.slice(0, KEY_BYTES), gatewayKey: keys.slice(KEY_BYTES) };
}

/** The node's proof, 64 bytes. */
export function nodeMac(keys: PairingKeys): Uint8Array {
  return hmac(sha512, keys.nodeKey, keys.transcript);
}

/** The gateway's proof, 64 bytes; it covers what the gateway adds. */
export function gatewayMac(
  keys: PairingKeys,
  added: { readonly root: Uint8Array; readonly mesh: string; readonly requestId: string },
): Uint8Array {
  return hmac(sha512, keys.gatewayKey, lvCat(keys.transcript, added.root, utf8(added.mesh), utf8(added.requestId)));
}

/** What the hello says, authenticated as CPace's ADa. */
function helloData(hello: HelloFields): Uint8Array {
  const { os, arch } = hello.platform;
  return lvCat(hello.codeId ?? EMPTY, hello.nonce, utf8(hello.name), utf8(os), utf8(arch), hello.csrHash);
}
