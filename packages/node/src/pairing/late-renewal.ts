import {
  certificatesFromPem,
  certificatesToPem,
  createCsr,
  IdentityError,
  selfSignedCredentials,
  sha256,
  verifyIssuedChain,
  type KeyPair,
} from "@quaymesh/identity";
import {
  CLOSE_CODES,
  MAX_UNAUTHENTICATED_FRAME_BYTES,
  MessageStream,
  parseRenewReply,
  RemoteError,
  WIRE_VERSION,
  type Renewed,
  type Transport,
} from "@quaymesh/protocol";
import { X509Certificate } from "node:crypto";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { failureOf } from "../link/failure.ts";
import { storeIdentity, type NodeIdentity } from "../state/identity-file.ts";
import type { StateLayout } from "../state/layout.ts";
import { dialPairing, type PairingLink } from "./dial.ts";
import { pairingError } from "./errors.ts";

/** How long the gateway may take to answer. docs/wire.md, "Late renewal". */
const ANSWER_MS = 20_000;

/** What {@link renewLate} works with. */
export interface LateRenewalOptions {
  readonly transport: Transport;
  readonly layout: StateLayout;
  readonly key: KeyPair;
  readonly clock: Clock;
  readonly identity: NodeIdentity;
  readonly signal?: AbortSignal;
}

/**
 * Ask the pairing endpoint for another certificate of the enrolled key, check it and store it. The endpoint's chain has to end at the pinned root.
 * @returns the identity as stored
 * @throws {NodeError} `RENEW_TOO_LATE`, `DEVICE_REVOKED`, `DEVICE_UNKNOWN`: this gateway will not; `CLOCK_SKEW` with both clocks; `GATEWAY_*`, `PAIR_*`, `STATE_*`; rethrows `signal.reason`
 */
export async function renewLate(options: LateRenewalOptions): Promise<NodeIdentity> {
  const { transport, key, clock, identity, signal } = options;
  const root = rootOf(identity);
  const link = await dialPairing({
    transport,
    credentials: await selfSignedCredentials(key, { now: clock.now() }),
    target: {
      addresses: identity.pairingAddresses ?? [],
      pin: sha256(new X509Certificate(root).publicKey.export({ type: "spki", format: "der" })),
      meshId: identity.meshId,
    },
    now: clock.now(),
    ...(signal !== undefined && { signal }),
  });
  try {
    const reply = await ask(link, options);
    const renewed = identityOf(reply, root, options);
    await storeIdentity(options.layout, renewed);
    return renewed;
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof RemoteError) throw pairingError(cause, cause);
    if (cause instanceof IdentityError) throw pairingError(cause, cause);
    throw cause instanceof NodeError ? cause : failureOf(cause, link.address).error;
  } finally {
    link.connection.close(CLOSE_CODES.ok);
  }
}

/** Closing the connection is what ends a wait that takes too long, and one that nobody needs any more. */
async function ask({ connection }: PairingLink, { key, clock, signal }: LateRenewalOptions): Promise<Renewed> {
  const over = new AbortController();
  const onAbort = (): void => connection.close(CLOSE_CODES.ok);
  signal?.addEventListener("abort", onAbort, { once: true });
  clock.sleep(ANSWER_MS, over.signal).then(
    () => connection.close(CLOSE_CODES.timeout, "no answer came"),
    () => {},
  );
  try {
    const stream = new MessageStream(await connection.openStream(), {
      maxFrameBytes: 4 * MAX_UNAUTHENTICATED_FRAME_BYTES,
    });
    await stream.end({ v: WIRE_VERSION, method: "certificate.renew", csr: await createCsr(key) });
    return await stream.expect(parseRenewReply);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    over.abort();
  }
}

function identityOf(reply: Renewed, root: Uint8Array, { identity, key, clock }: LateRenewalOptions): NodeIdentity {
  const now = clock.now();
  const { meshId, deviceId } = identity;
  try {
    const leaf = verifyIssuedChain({ chain: reply.chain, root, meshId, deviceId, spkiSha256: key.spkiSha256, now });
    const { chain, renewAfter } = reply;
    return { ...identity, chainPem: certificatesToPem(chain), renewAfter, notAfter: leaf.notAfter };
  } catch (cause) {
    const isSkew = cause instanceof IdentityError && cause.code === "CLOCK_SKEW";
    if (!isSkew || reply.time === undefined) throw cause;
    const [theirs, ours] = [reply.time, now].map((at) => new Date(at).toISOString());
    throw new NodeError("CLOCK_SKEW", `the gateway's clock says ${theirs}, and this one ${ours}: ${cause.message}`, {
      cause,
      details: { gatewayClock: `${theirs}`, clock: `${ours}` },
    });
  }
}

function rootOf(identity: NodeIdentity): Uint8Array {
  const [root] = certificatesFromPem(identity.rootPem);
  if (root === undefined) throw new NodeError("STATE_CORRUPT", "the pinned root is gone");
  return root;
}
