import { withPairing, withSessionAt } from "../mesh/moves.ts";
import { rootBelow, withoutOldRoot } from "../mesh/roots.ts";
import type { Clock } from "../clock.ts";
import type { NodeLog } from "../node-log.ts";
import { endpointsOf } from "../state/address.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";
import type { JoinFile } from "../state/join-file.ts";
import type { SeenFile } from "../state/seen-file.ts";
import { skewLine } from "./clock-skew.ts";
import type { OnlineSession } from "./link.ts";

/** What {@link keepWelcome} works with. */
export interface KeepWelcomeOptions {
  readonly keeper: IdentityKeeper;
  readonly join: JoinFile;
  readonly clock: Clock;
  readonly seen: SeenFile;
  readonly log: NodeLog;
}

/**
 * Store what a welcome says for later: the join token, where a renewal is asked for should this machine sleep past its certificate, and what the session itself proves of a move or a new root. Never rejects: the
 * gateway takes the token before this one too, and the rest is a precaution.
 */
export async function keepWelcome(session: OnlineSession, options: KeepWelcomeOptions): Promise<void> {
  const { welcome, connection, address } = session;
  const { keeper, join, seen, clock, log } = options;
  const skew = skewLine(welcome.time, clock.now());
  if (skew !== undefined) log.line(skew);
  if (welcome.join !== undefined) {
    await join.store(welcome.join).catch((cause: unknown) => log.failure("join.not-stored", cause));
  }
  if (welcome.checkpoint !== undefined) {
    await seen
      .store(welcome.checkpoint, rootBelow(keeper.current, connection))
      .catch((cause: unknown) => log.failure("checkpoint.not-stored", cause));
  }
  const told = endpointsOf(welcome.pairing ?? [], connection.remoteAddress.host);
  const now = clock.now();
  try {
    await keeper.update((identity) => {
      const proved = withSessionAt(identity, address, now);
      return withoutOldRoot(withPairing(proved, told), connection, { settled: false, now });
    });
  } catch (cause) {
    log.failure("identity.not-stored", cause);
  }
}
