import { certificatesToPem, createCsr, verifyIssuedChain, type KeyPair } from "@quaymesh/identity";
import { MessageStream, parseRenewReply, WIRE_VERSION } from "@quaymesh/protocol";
import { Bell } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { rootsOf } from "../mesh/roots.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";
import type { OnlineSession } from "./link.ts";

/** Renewals of a fleet that was paired in one afternoon are spread over this share of what is left of their certificates. */
const JITTER_SHARE = 0.1;
/** Timers of Node end at 2^31 ms; a longer wait is taken in pieces. */
const LONGEST_SLEEP_MS = 86_400_000;
const RETRY_MS = 600_000;

/** A renewal that the gateway asked for and that has not been made yet. */
export class RenewalDemand {
  readonly #bell = new Bell();
  #pending = false;

  get pending(): boolean {
    return this.#pending;
  }

  make(): void {
    this.#pending = true;
    this.#bell.ring();
  }

  settle(): void {
    this.#pending = false;
  }

  /** Resolves with the next demand. @throws rethrows `signal.reason` */
  wait(signal: AbortSignal): Promise<void> {
    return this.#bell.wait(signal);
  }
}

/** What {@link keepRenewed} works with. */
export interface RenewalOptions {
  readonly keeper: IdentityKeeper;
  readonly key: KeyPair;
  readonly clock: Clock;
  /** Asked for out of turn. */
  readonly demand: RenewalDemand;
  /** `demanded`: the gateway wants the new certificate used at once. */
  readonly onRenewed: (identity: NodeIdentity, demanded: boolean) => void;
  readonly onFailed: (cause: unknown) => void;
}

/** Renew the certificate over `session` whenever that is due, until its signal aborts. Never rejects: the old certificate stays good until its end. */
export async function keepRenewed(session: OnlineSession, options: RenewalOptions): Promise<void> {
  const { clock } = options;
  const share = clock.random() * JITTER_SHARE;
  let notBefore = 0;
  try {
    for (;;) {
      const { renewAfter, notAfter } = options.keeper.current;
      const dueAt = Math.max(notBefore, renewAfter + Math.max(0, notAfter - renewAfter) * share);
      const waitMs = dueAt - clock.now();
      const demanded = options.demand.pending;
      if (waitMs > 0 && !demanded) {
        await pause(Math.min(waitMs, LONGEST_SLEEP_MS), session.signal, options);
        continue;
      }
      // One that fails is asked for again with the next session, and the certificate in use is good until then.
      options.demand.settle();
      try {
        options.onRenewed(await renew(session, options), demanded);
        notBefore = clock.now() + RETRY_MS;
      } catch (cause) {
        if (session.signal.aborted) return;
        options.onFailed(cause);
        notBefore = clock.now() + RETRY_MS;
      }
    }
  } catch {
    // The session is over; the next one asks again.
  }
}

/** Wait for a time or for a demand, whichever is first. @throws rethrows `signal.reason` */
async function pause(ms: number, signal: AbortSignal, { clock, demand }: RenewalOptions): Promise<void> {
  const timer = new AbortController();
  const either = AbortSignal.any([signal, timer.signal]);
  try {
    await Promise.race([clock.sleep(ms, either), demand.wait(either)]);
  } finally {
    timer.abort();
  }
}

/**
 * Ask for a certificate for the same key, check it and store it. The next dial shows it.
 * @throws {IdentityError} `CHAIN_INVALID`, `CLOCK_SKEW`; {NodeError} `STATE_*`; {RemoteError}; what the stream throws
 */
async function renew(session: OnlineSession, options: RenewalOptions): Promise<NodeIdentity> {
  const { keeper, key, clock } = options;
  const stream = new MessageStream(await session.connection.openStream({ signal: session.signal }));
  await stream.end({ v: WIRE_VERSION, method: "certificate.renew", csr: await createCsr(key) });
  const reply = await stream.expect(parseRenewReply);
  return await keeper.update((identity) => {
    const { notAfter } = verifyIssuedChain({
      chain: reply.chain,
      roots: rootsOf(identity),
      meshId: identity.meshId,
      deviceId: identity.deviceId,
      spkiSha256: key.spkiSha256,
      now: clock.now(),
    });
    return { ...identity, chainPem: certificatesToPem(reply.chain), renewAfter: reply.renewAfter, notAfter };
  });
}
