/** News of the mesh, as sessions bring it to nodes and take their answers. */
import type { Hello, MeshNewsApplied } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { MeshTurns } from "./turns.ts";

/** After welcome: what the hello shows that the node has not heard yet. */
export function tellNews(session: LiveSession, hello: Pick<Hello, "roots" | "moved">): void {
  for (const news of session.context.news.newsFor(hello)) session.feed({ kind: "tell", news });
  askForCertificate(session);
}

/** There is something new: tell everyone who is online, in turns. What a node has said of itself since its hello is remembered. */
export function tellEveryone(registry: Pick<SessionRegistry, "all">, turns: MeshTurns<LiveSession>): void {
  for (const session of registry.all()) {
    turns.tell.take(session, () => {
      if (session.open === undefined) return false;
      tellNews(session, session.knows);
      return true;
    });
  }
}

/** A node has stored news: remembered for the session and on disk, so that an operator can see who is behind. */
export async function newsApplied(session: LiveSession, applied: MeshNewsApplied): Promise<void> {
  const { news, store, logger } = session.context;
  const { deviceId } = session;
  session.knows =
    applied.type === "roots.applied"
      ? { ...session.knows, roots: applied.roots }
      : { ...session.knows, moved: applied.version };
  const { roots, moved = 0 } = session.knows;
  try {
    await store.sessions.noteMesh({ deviceId, rootVersion: news.rootVersionOf(roots), moveVersion: moved });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    // The next hello says it again.
    logger.warn({ device: deviceId, code: error.code }, "what a node knows of its mesh could not be stored");
  }
  if (applied.type === "roots.applied") askForCertificate(session);
}

/**
 * Have a node take another certificate in this session's turn, and once in it: a node that fails to is asked again with its next session.
 * @param note what is to be on disk before it is asked
 */
export function askToRenew(session: LiveSession, note: () => Promise<void> = () => Promise.resolve()): void {
  if (session.askedToRenew) return;
  session.askedToRenew = true;
  const { turns, logger } = session.context;
  turns.renew.take(session, () => {
    if (session.open === undefined) return false;
    note().then(
      () => session.feed({ kind: "request-renewal" }),
      (error: unknown) =>
        logger.warn({ device: session.deviceId, error }, "a device could not be asked for another certificate"),
    );
    return true;
  });
}

/** A node that trusts the newest root takes a certificate below it, now: the old root can go only when nobody hangs from it any more. */
function askForCertificate(session: LiveSession): void {
  const { news, store, clock } = session.context;
  const trusts = news.trustsNewest(news.rootVersionOf(session.knows.roots));
  if (!trusts || !news.isOutdated(session.connection.peer.chain)) return;
  // On disk first: asked again with each session until such a certificate is used.
  askToRenew(session, async () => {
    await store.devices.requestRotation({ deviceId: session.deviceId, now: clock.now() });
  });
}
