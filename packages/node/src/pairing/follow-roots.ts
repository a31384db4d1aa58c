/** A node that slept through a rotation of its mesh's root: it asks the pairing endpoint how the roots follow each other. docs/wire.md, "Roots". */
import { IdentityError, selfSignedCredentials, type KeyPair } from "@quaymesh/identity";
import {
  CLOSE_CODES,
  MAX_UNAUTHENTICATED_FRAME_BYTES,
  MessageStream,
  parseRootsReply,
  RemoteError,
  WIRE_VERSION,
  type Roots,
  type Transport,
} from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { failureOf } from "../link/failure.ts";
import { rootsOf, withRoots } from "../mesh/roots.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";
import { closingAfter } from "./closing-after.ts";
import { dialPairing, type PairingLink } from "./dial.ts";
import { pairingError } from "./errors.ts";

/** What {@link followLate} works with. */
export interface FollowLateOptions {
  readonly transport: Transport;
  readonly key: KeyPair;
  readonly clock: Clock;
  readonly keeper: IdentityKeeper;
  readonly signal?: AbortSignal;
}

/**
 * Ask, check the answer against the trusted roots and store what follows. The endpoint itself is a stranger until then, and hears nothing but the question: what counts is who signed the answer.
 * @throws {NodeError} `GATEWAY_UNTRUSTED` where nothing leads from a trusted root to the one that the endpoint shows; `GATEWAY_*`, `PAIR_*`, `STATE_*`; rethrows `signal.reason`
 */
export async function followLate(options: FollowLateOptions): Promise<void> {
  const { transport, key, clock, keeper, signal } = options;
  const { pairingAddresses = [], meshId } = keeper.current;
  const link = await dialPairing({
    transport,
    credentials: await selfSignedCredentials(key, { now: clock.now() }),
    target: { addresses: pairingAddresses, pins: undefined, meshId },
    now: clock.now(),
    ...(signal !== undefined && { signal }),
  });
  try {
    const answer = await ask(link, options);
    await keeper.update((identity) => {
      const followed = withRoots(identity, answer, clock.now());
      const newest = rootsOf(followed).at(-1) ?? new Uint8Array();
      if (Buffer.compare(newest, link.chain.root) === 0) return followed;
      throw new IdentityError("STATEMENT_REFUSED", "the endpoint shows another root than the one it leads to");
    });
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof IdentityError) throw new NodeError("GATEWAY_UNTRUSTED", cause.message, { cause });
    if (cause instanceof RemoteError) throw pairingError(cause, cause);
    throw cause instanceof NodeError ? cause : failureOf(cause, link.address).error;
  } finally {
    link.connection.close(CLOSE_CODES.ok);
  }
}

async function ask({ connection }: PairingLink, { clock, signal }: FollowLateOptions): Promise<Roots> {
  using _ = closingAfter(connection, { clock, ...(signal !== undefined && { signal }) });
  const stream = new MessageStream(await connection.openStream(), {
    maxFrameBytes: 4 * MAX_UNAUTHENTICATED_FRAME_BYTES,
  });
  await stream.end({ v: WIRE_VERSION, method: "mesh.roots" });
  return await stream.expect(parseRootsReply);
}
