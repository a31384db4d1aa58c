/** Verifying a gateway's chain where no native verification is possible: the node has a hash of the root, or nothing yet. */
import type { RefusalReason } from "@quaymesh/protocol";
import { fingerprint, timingSafeEqualBytes } from "../bytes.ts";
import { parseServerName } from "../authority/names.ts";
import { EKU_SERVER_AUTH } from "../authority/profile.ts";
import { IdentityError, type NodePairingCode } from "../errors.ts";
import { meshNamedBy } from "../roots/named-mesh.ts";
import { dateFault, type PathCertificate, pathFault, readChain } from "./path.ts";

/** Options of {@link judgeChain}. */
export interface JudgeChainOptions {
  /** The pin: SHA-256 of the root's SubjectPublicKeyInfo, or several of which any is good, while one root takes over from another. `first-use` takes any root; only a PIN exchange that follows makes that safe. */
  readonly rootSpkiSha256: Uint8Array | readonly Uint8Array[] | "first-use";
  /** The DNS name the leaf must carry, for example `pairingServerName(meshId)`. Without it: any pairing endpoint's. */
  readonly meshServerName?: string;
  /** Unix milliseconds. */
  readonly now: number;
}

/** What a chain that was accepted says. */
export interface GatewayChain {
  readonly meshId: string;
  /** DER. */
  readonly root: Uint8Array;
  readonly rootSpkiSha256: Uint8Array;
  /** SHA-256 of the endpoint's SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
}

/** The answer of {@link judgeChain}. It fits the transport's `Verdict`, and says more. */
export type ChainVerdict =
  | ({ readonly kind: "accept" } & GatewayChain)
  | {
      readonly kind: "refuse";
      readonly reason: RefusalReason;
      readonly code: "CHAIN_INVALID" | Extract<NodePairingCode, "GATEWAY_PIN_MISMATCH" | "CLOCK_SKEW">;
      /** One sentence for people. */
      readonly detail: string;
    };

/**
 * Judge a gateway's chain: leaf, intermediates, root. Signatures, CA flags, path lengths, dates, server name, and that it ends at the pin. Synchronous.
 * Use it as `authorize` when dialing a pairing endpoint: `authorize: (peer) => judgeChain(peer.chain, options)`.
 */
export function judgeChain(chainDer: readonly Uint8Array[], options: JudgeChainOptions): ChainVerdict {
  const chain = readChain(chainDer);
  if (typeof chain === "string") return invalid(chain);
  const leaf = chain[0];
  const root = chain.at(-1);
  if (leaf === undefined || root === undefined) return invalid("no certificate was shown");
  const rootSpkiSha256 = root.spkiSha256;
  const asked = options.rootSpkiSha256;
  const pins = asked === "first-use" ? asked : asked instanceof Uint8Array ? [asked] : asked;
  // Before anything else: whose gateway this is matters more than whether its chain is in order.
  if (pins !== "first-use" && !pins.some((pin) => timingSafeEqualBytes(rootSpkiSha256, pin))) {
    return pinMismatch(pins, rootSpkiSha256);
  }
  const fault = pathFault(chain) ?? leafFault(leaf);
  if (fault !== undefined) return invalid(fault);
  const server = parseServerName(leaf.x509.subjectAltName?.replace(/^DNS:/, "") ?? "");
  const expected = options.meshServerName;
  const named =
    expected === undefined
      ? server?.kind === "pairing"
      : leaf.x509.checkHost(expected, { wildcards: false }) === expected;
  if (server === undefined || !named) return invalid(`the certificate is for ${leaf.x509.subjectAltName ?? "nobody"}`);
  // Without a pin this is all that keeps a chain from claiming another mesh in passing; the exchange that follows binds the id.
  if (pins === "first-use" && server.meshId !== meshNamedBy(root.x509, rootSpkiSha256))
    return invalid("the mesh id is not the root's");
  const skew = chain.map((certificate) => dateFault(certificate, options.now)).find((text) => text !== undefined);
  if (skew !== undefined) return { kind: "refuse", reason: "expired", code: "CLOCK_SKEW", detail: skew };
  return {
    kind: "accept",
    meshId: server.meshId,
    root: root.der,
    rootSpkiSha256,
    spkiSha256: leaf.spkiSha256,
  };
}

/**
 * {@link judgeChain} for those who want the chain or an exception.
 * @throws {IdentityError} `GATEWAY_PIN_MISMATCH`, `CLOCK_SKEW`, `CHAIN_INVALID`
 */
export function verifyChain(chainDer: readonly Uint8Array[], options: JudgeChainOptions): GatewayChain {
  const verdict = judgeChain(chainDer, options);
  if (verdict.kind === "refuse") throw new IdentityError(verdict.code, verdict.detail);
  return verdict;
}

function leafFault({ x509: leaf }: PathCertificate): string | undefined {
  if (leaf.ca) return "the endpoint shows a CA's certificate";
  const usages = leaf.keyUsage ?? [];
  if (usages.length !== 1 || usages[0] !== EKU_SERVER_AUTH) return "the certificate is not for servers alone";
  return undefined;
}

function pinMismatch(pins: readonly Uint8Array[], seen: Uint8Array): ChainVerdict {
  const expected = pins.map(fingerprint).join(" or ");
  const detail = `this gateway has another root than the pinned one: expected ${expected}, seen ${fingerprint(seen)}`;
  return { kind: "refuse", reason: "unknown", code: "GATEWAY_PIN_MISMATCH", detail };
}

function invalid(detail: string): ChainVerdict {
  return { kind: "refuse", reason: "denied", code: "CHAIN_INVALID", detail };
}
