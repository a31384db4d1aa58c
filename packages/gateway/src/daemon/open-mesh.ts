import type { Authority } from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import type { GatewayCore } from "../core.ts";
import type { Logger } from "../logger.ts";
import { AuthorityMesh } from "../mesh/authority-service.ts";
import { watchIssuing } from "../mesh/issuing-clock.ts";
import { loadMove } from "../mesh/move-record.ts";
import { AuthorityNews } from "../mesh/news.ts";
import type { MeshService } from "../mesh/service.ts";
import type { PairingDesk } from "../pairing/desk.ts";
import { DEFAULT_PAIRING_PORT } from "./options.ts";
import type { Store } from "../store/port.ts";

/** What {@link openMesh} stands on. */
export interface MeshParts {
  readonly authority: Authority;
  readonly news: AuthorityNews;
  readonly store: Store;
  readonly core: GatewayCore;
  readonly pairing: PairingDesk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the gateway stops. */
  readonly signal: AbortSignal;
}

/** What nodes are to be told, as the last start left it. @throws {GatewayError} `STORE_*` */
export async function openNews(authority: Authority, store: Store): Promise<AuthorityNews> {
  return new AuthorityNews(authority, await loadMove(store.meta));
}

/** The mesh's root and the gateway's address, of a gateway that runs. */
export function openMesh(parts: MeshParts): MeshService {
  const { authority, core, pairing, clock, logger, signal } = parts;
  let shown = shownRoot(authority);
  const follow = async (): Promise<void> => {
    // Trust first: should the rest fail, what devices show from now on is accepted, and a restart does the rest.
    core.trustAnchors(authority.anchorsPem);
    const { credentials } = await authority.issueGatewayLeaf({ now: clock.now() });
    core.showLeaf(credentials);
    const now = shownRoot(authority);
    if (now !== shown) await pairing.follow();
    shown = now;
  };
  watchIssuing({
    newest: () => authority.lines.at(-1),
    renew: async () => {
      await authority.renewIssuing({ now: clock.now() });
      await follow();
    },
    clock,
    logger,
    signal,
  });
  // Of `host:port`; where it is not known before the endpoint has been open, the one it has where nobody says.
  const pairingPort = (): number => Number(/\d+$/u.exec(pairing.addresses[0] ?? "")?.[0] ?? DEFAULT_PAIRING_PORT);
  return new AuthorityMesh({
    ...parts,
    pairingPort,
    follow,
    renewSessions: () => core.renewSessions(),
    tell: () => core.tellNews(),
  });
}

function shownRoot({ rootSpkiSha256 }: Authority): string {
  return Buffer.from(rootSpkiSha256).toString("hex");
}
