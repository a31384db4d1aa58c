import { MISSED_HEARTBEATS, type GatewaySession, type SessionEnd } from "./gateway-session-state.ts";

/** Whether a device can be reached, as everything shows it. */
export type Presence =
  | { readonly kind: "online"; readonly since: number; readonly lastHeardAt: number; readonly draining: boolean }
  | { readonly kind: "connecting" }
  | { readonly kind: "offline"; readonly since: number | undefined; readonly end: SessionEnd | undefined };

/**
 * The one function that decides: online from `Welcome` until the session ends or three heartbeats are missed, whether
 * or not a timer has fired by then.
 * @param session the device's newest session; `undefined` where it had none since the gateway started
 * @param now monotonic milliseconds
 */
export function presenceOf(session: GatewaySession | undefined, now: number): Presence {
  if (session === undefined) return { kind: "offline", since: undefined, end: undefined };
  switch (session.kind) {
    case "opening":
    case "registering":
      return { kind: "connecting" };
    case "open": {
      const silentAt = session.lastHeardAt + session.heartbeatMs * MISSED_HEARTBEATS;
      if (now >= silentAt) return { kind: "offline", since: silentAt, end: "silent" };
      return { kind: "online", since: session.since, lastHeardAt: session.lastHeardAt, draining: session.draining };
    }
    case "closed":
      return { kind: "offline", since: session.at, end: session.end };
    default:
      return session satisfies never;
  }
}
