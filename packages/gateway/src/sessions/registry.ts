import { presenceOf, type Presence } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { LiveSession } from "./live-session.ts";
import type { SessionCut, SessionService, SessionStats, SessionView } from "./service.ts";

/** What {@link SessionRegistry} takes. */
export interface RegistryOptions {
  readonly clock: Clock;
  /** Refused connections by reason, from the listener. */
  readonly refused: () => Readonly<Record<string, number>>;
  /** Connections the listener ended by its limits. */
  readonly cut: () => Readonly<Record<string, number>>;
}

/**
 * Who is connected. A session is in here from the moment its connection is taken up, before its device is looked up once more: whoever revokes the device afterwards finds
 * it here, and whoever revoked it before is found by the lookup.
 */
export class SessionRegistry implements SessionService {
  readonly #options: RegistryOptions;
  /** Of nearly every device it is one. */
  readonly #sessions = new Map<string, readonly LiveSession[]>();
  /** The newest registered session of each device: the one that counts. */
  readonly #current = new Map<string, LiveSession>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #counters = { opened: 0, superseded: 0, revoked: 0 };
  /** Connections turned away since too many of their device were opening. */
  #crowded = 0;
  readonly #cut: Partial<Record<SessionCut, number>> = {};
  #connections = 0;
  #closed = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  add(session: LiveSession): void {
    this.#sessions.set(session.deviceId, [...this.of(session.deviceId), session]);
    this.#connections += 1;
  }

  remove(session: LiveSession): void {
    const known = this.of(session.deviceId);
    if (!known.includes(session)) return;
    this.#connections -= 1;
    const others = known.filter((other) => other !== session);
    if (others.length === 0) this.#sessions.delete(session.deviceId);
    else this.#sessions.set(session.deviceId, others);
    this.retire(session);
  }

  /** The session is over, while its connection may take a moment to close: it counts no more, and can still be found. */
  retire(session: LiveSession): void {
    if (this.#current.get(session.deviceId) === session) this.#current.delete(session.deviceId);
  }

  /**
   * The store gave `session` its epoch; of two sessions of one device the one with the higher epoch stays.
   * @returns the session that has to go: the older one, or `session` itself; undefined where there is no other
   */
  claim(session: LiveSession, sessionEpoch: number): LiveSession | undefined {
    const current = this.#current.get(session.deviceId);
    if (current !== undefined && current.sessionEpoch > sessionEpoch) return session;
    this.#current.set(session.deviceId, session);
    return current;
  }

  /** The session is welcome: tell who waits for it. */
  announce(session: LiveSession): void {
    this.#counters.opened += 1;
    for (const wake of this.#waiting.get(session.deviceId) ?? []) wake();
  }

  count(what: "superseded" | "revoked" | "crowded" | SessionCut): void {
    switch (what) {
      case "crowded":
        this.#crowded += 1;
        return;
      case "first-frame":
      case "frame-progress":
        this.#cut[what] = (this.#cut[what] ?? 0) + 1;
        return;
      default:
        this.#counters[what] += 1;
    }
  }

  /** Every session of a device, welcome or not. */
  of(deviceId: string): readonly LiveSession[] {
    return this.#sessions.get(deviceId) ?? [];
  }

  /** The registered session of a device. */
  current(deviceId: string): LiveSession | undefined {
    return this.#current.get(deviceId);
  }

  all(): readonly LiveSession[] {
    return [...this.#sessions.values()].flat();
  }

  /** The one answer to where a device is. */
  presence(deviceId: string): Presence {
    return presenceOf(this.#current.get(deviceId)?.state, this.#options.clock.monotonicMs());
  }

  isOnline(deviceId: string): boolean {
    return this.presence(deviceId).kind === "online";
  }

  online(): readonly SessionView[] {
    const views: SessionView[] = [];
    for (const session of this.#current.values()) {
      const view = this.isOnline(session.deviceId) ? session.view() : undefined;
      if (view !== undefined) views.push(view);
    }
    return views;
  }

  stats(): SessionStats {
    return {
      connections: this.#connections,
      online: this.#onlineCount(),
      ...this.#counters,
      refused: { ...this.#options.refused(), ...(this.#crowded > 0 && { opening: this.#crowded }) },
      cut: { ...this.#options.cut(), ...this.#cut },
    };
  }

  // Not of the views: each asks the transport where its peer is.
  #onlineCount(): number {
    let count = 0;
    for (const deviceId of this.#current.keys()) if (this.isOnline(deviceId)) count += 1;
    return count;
  }

  async whenOnline(deviceId: string, options: { readonly signal?: AbortSignal } = {}): Promise<SessionView> {
    const { signal } = options;
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closed) throw new GatewayError("GATEWAY_DRAINING", "the gateway is stopping");
      const view = this.isOnline(deviceId) ? this.#current.get(deviceId)?.view() : undefined;
      if (view !== undefined) return view;
      await this.#announced(deviceId, signal);
    }
  }

  /** No session will come any more. */
  close(): void {
    this.#closed = true;
    for (const waiters of this.#waiting.values()) for (const wake of waiters) wake();
  }

  async #announced(deviceId: string, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiting.get(deviceId) ?? new Set();
    this.#waiting.set(deviceId, waiters.add(resolve));
    signal?.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    waiters.delete(resolve);
    if (waiters.size === 0) this.#waiting.delete(deviceId);
  }
}
