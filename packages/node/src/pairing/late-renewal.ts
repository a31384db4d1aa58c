import {
  certificatesToPem,
  createCsr,
  IdentityError,
  selfSignedCredentials,
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
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { failureOf } from "../link/failure.ts";
import { pinsOf, rootsOf } from "../mesh/roots.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";
import { closingAfter } from "./closing-after.ts";
import { dialPairing, type PairingLink } from "./dial.ts";
import { pairingError } from "./errors.ts";

/** What {@link renewLate} works with. */
export interface LateRenewalOptions {
  readonly transport: Transport;
  readonly key: KeyPair;
  readonly clock: Clock;
  readonly keeper: Pick<IdentityKeeper, "current" | "update">;
  readonly signal?: AbortSignal;
}

/**
 * Ask the pairing endpoint for another certificate of the enrolled key, check it and store it. The endpoint's chain has to end at the pinned root.
 * @returns the identity as stored
 * @throws {NodeError} `RENEW_TOO_LATE`, `DEVICE_REVOKED`, `DEVICE_UNKNOWN`: this gateway will not; `CLOCK_SKEW` with both clocks; `GATEWAY_*`, `PAIR_*`, `STATE_*`; rethrows `signal.reason`
 */
export async function renewLate(options: LateRenewalOptions): Promise<NodeIdentity> {
  const { transport, key, clock, keeper, signal } = options;
  const { pairingAddresses = [], meshId } = keeper.current;
  const link = await dialPairing({
    transport,
    credentials: await selfSignedCredentials(key, { now: clock.now() }),
    target: { addresses: pairingAddresses, pins: pinsOf(keeper.current), meshId },
    now: clock.now(),
    ...(signal !== undefined && { signal }),
  });
  try {
    const reply = await ask(link, options);
    return await keeper.update((identity) => identityOf(identity, reply, options));
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof RemoteError) throw pairingError(cause, cause);
    if (cause instanceof IdentityError) throw pairingError(cause, cause);
    throw cause instanceof NodeError ? cause : failureOf(cause, link.address).error;
  } finally {
    link.connection.close(CLOSE_CODES.ok);
  }
}

async function ask({ connection }: PairingLink, { key, clock, signal }: LateRenewalOptions): Promise<Renewed> {
  using _ = closingAfter(connection, { clock, ...(signal !== undefined && { signal }) });
  const stream = new MessageStream(await connection.openStream(), {
    maxFrameBytes: 4 * MAX_UNAUTHENTICATED_FRAME_BYTES,
  });
  await stream.end({ v: WIRE_VERSION, method: "certificate.renew", csr: await createCsr(key) });
  return await stream.expect(parseRenewReply);
}

function identityOf(identity: NodeIdentity, reply: Renewed, { key, clock }: LateRenewalOptions): NodeIdentity {
  const now = clock.now();
  const { meshId, deviceId } = identity;
  try {
    const leaf = verifyIssuedChain({
      chain: reply.chain,
      roots: rootsOf(identity),
      meshId,
      deviceId,
      spkiSha256: key.spkiSha256,
      now,
    });
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
