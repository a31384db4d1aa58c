import { certificatesFromPem, isBelowRoot } from "@quaymesh/identity";
import { CLOSE_CODES } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { MeshTurns } from "./turns.ts";

/** Longer than a handshake may take: one that began before the anchors changed was held to those of before. */
const LATE_HANDSHAKE_MS = 5_000;

/** End the sessions of nodes that trust two roots, once, in turns: in the next one the new root proves itself, and they let go of the old one. */
export function endOldSessions(
  registry: Pick<SessionRegistry, "all">,
  { clock, turns }: { readonly clock: Clock; readonly turns: MeshTurns<LiveSession> },
): void {
  for (const session of registry.all()) {
    if ((session.knows.roots ?? []).length <= 1) continue;
    turns.end.take(session, () => {
      if (session.state.kind === "closed") return false;
      session.feed({ kind: "stop", now: clock.monotonicMs() });
      return true;
    });
  }
}

/** End the sessions of devices whose chain ends at none of these anchors, now and once more when the handshakes that were under way are over. They come back with a certificate that does. */
export function endStrangers(
  registry: Pick<SessionRegistry, "all">,
  anchorsPem: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): void {
  const anchors = certificatesFromPem(anchorsPem);
  const end = (): void => {
    for (const session of registry.all()) {
      const [, intermediate] = session.connection.peer.chain;
      if (anchors.some((anchor) => isBelowRoot(intermediate, anchor))) continue;
      session.context.logger.warn(
        { device: session.deviceId },
        "a session hangs from a root that is trusted no more: ended",
      );
      session.feed({ kind: "stop", now: clock.monotonicMs() });
      // A session that has not begun has nothing to say goodbye to.
      if (session.open === undefined) session.connection.close(CLOSE_CODES.draining, "the root was rotated");
    }
  };
  end();
  const cancel = clock.after(LATE_HANDSHAKE_MS, end);
  signal.addEventListener("abort", cancel, { once: true });
}
