import type { NodeLog } from "../node-log.ts";
import { endpointsOf, formatAddress } from "../state/address.ts";
import { storeIdentity, type NodeIdentity } from "../state/identity-file.ts";
import type { JoinFile } from "../state/join-file.ts";
import type { StateLayout } from "../state/layout.ts";
import type { OnlineSession } from "./link.ts";

/** What {@link keepWelcome} works with. */
export interface KeepWelcomeOptions {
  readonly layout: StateLayout;
  readonly join: JoinFile;
  readonly identity: NodeIdentity;
  readonly log: NodeLog;
}

/**
 * Store what a welcome says for later: the join token, and where a renewal is asked for should this machine sleep past its certificate. Never rejects: the gateway takes the token before
 * this one too, and the addresses are a precaution.
 * @returns the identity as it is then
 */
export async function keepWelcome(session: OnlineSession, options: KeepWelcomeOptions): Promise<NodeIdentity> {
  const { welcome, connection } = session;
  const { layout, join, identity, log } = options;
  if (welcome.join !== undefined) {
    await join.store(welcome.join).catch((cause: unknown) => log.failure("join.not-stored", cause));
  }
  const told = endpointsOf(welcome.pairing ?? [], connection.remoteAddress.host);
  const known = identity.pairingAddresses ?? [];
  if (told.length === 0 || told.map(formatAddress).join() === known.map(formatAddress).join()) return identity;
  const learned = { ...identity, pairingAddresses: told };
  try {
    await storeIdentity(layout, learned);
    return learned;
  } catch (cause) {
    log.failure("identity.not-stored", cause);
    return identity;
  }
}
