/** What a node does with news of its mesh that comes over a session: judge, store, and only then say so. */
import { fingerprint, IdentityError } from "@quaymesh/identity";
import type { MeshNews, MeshNewsApplied } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { OnlineSession } from "../link/link.ts";
import type { NodeLog } from "../node-log.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";
import { knownMove, withMove } from "./moves.ts";
import { pinsOf, withoutOldRoot, withRoots } from "./roots.ts";

/** What {@link keepNews} works with. */
export interface KeepNewsOptions {
  readonly keeper: IdentityKeeper;
  readonly clock: Clock;
  readonly log: NodeLog;
}

/**
 * Keep news. Never rejects: what is refused, or cannot be stored, is logged and not answered, and the gateway says it again with the next session.
 * @returns what to answer
 */
export async function keepNews(
  news: MeshNews,
  session: Pick<OnlineSession, "connection">,
  options: KeepNewsOptions,
): Promise<MeshNewsApplied | undefined> {
  const { log } = options;
  try {
    return news.type === "roots" ? await keepRoots(news, session, options) : await keepMove(news, options);
  } catch (cause) {
    const event = news.type === "roots" ? "roots.refused" : "move.refused";
    log.failure(cause instanceof IdentityError ? event : "identity.not-stored", cause);
    return undefined;
  }
}

async function keepRoots(
  news: Extract<MeshNews, { type: "roots" }>,
  { connection }: Pick<OnlineSession, "connection">,
  { keeper, clock, log }: KeepNewsOptions,
): Promise<MeshNewsApplied> {
  const before = keeper.current;
  const now = clock.now();
  const followed = await keeper.update((identity) => withRoots(identity, news, now));
  if (followed.rootVersion !== before.rootVersion) log.line(rootLine(followed));
  const settled = await keeper.update((identity) => withoutOldRoot(identity, connection, { ...news, now }));
  if (settled.oldRootUntil === undefined && followed.oldRootUntil !== undefined) {
    log.line({ level: "info", event: "roots.settled", message: "the mesh's old root is trusted no more" });
  }
  return { type: "roots.applied", roots: pinsOf(settled) };
}

async function keepMove(
  move: Extract<MeshNews, { type: "moved" }>,
  { keeper, clock, log }: KeepNewsOptions,
): Promise<MeshNewsApplied> {
  const moveVersion = knownMove(keeper.current, clock.now());
  // The answer to the one before was lost: what is known needs no proof.
  if (move.version === moveVersion) return { type: "moved.applied", version: moveVersion };
  const { addresses } = await keeper.update((identity) => withMove(identity, move, clock.now()));
  log.line({
    level: "info",
    event: "move.followed",
    message: `the gateway moves to ${addresses.map(formatAddress).join(", ")}; dialed there first from now on`,
    details: { version: move.version },
  });
  return { type: "moved.applied", version: move.version };
}

/** What to log of an identity that has a new root. */
export function rootLine(identity: NodeIdentity) {
  const newest = pinsOf(identity).at(-1) ?? new Uint8Array();
  return {
    level: "info",
    event: "roots.followed",
    message: "the mesh has another root, signed by the one this node trusts: both are trusted for now",
    details: { root: fingerprint(newest), version: identity.rootVersion ?? 0 },
  } as const;
}
