import { CLOSE_CODES, type Connection, type Listener, type RefusalReason } from "@quaymesh/protocol";
import type { SessionContext } from "./context.ts";
import { LiveSession } from "./live-session.ts";
import { nextTurn } from "./next-turn.ts";
import { OwnedTasks } from "./owned.ts";

/** Turns of the event loop that sessions get to say goodbye. */
const MAX_CLOSING_TURNS = 4;

/** Connections of one device without a session, beyond which one more is closed: a device needs one, and the places are everybody's. docs/wire.md, "Limits". */
const MAX_OPENING = 4;

/** What has a close code of its own; of the rest the dialer hears in its next handshake. */
const LATE_REFUSALS: Readonly<Partial<Record<RefusalReason, number>>> = {
  revoked: CLOSE_CODES.revoked,
  frozen: CLOSE_CODES.frozen,
};

/** Accepts connections and serves each as a session. One that fails ends alone. */
export class MeshEndpoint implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #context: SessionContext;
  readonly #work: OwnedTasks;
  #draining = false;

  constructor(listener: Listener, context: SessionContext) {
    this.#listener = listener;
    this.#context = context;
    this.#work = new OwnedTasks((error) => context.logger.error({ error }, "the mesh endpoint failed at a connection"));
  }

  /** Begin to accept. */
  start(): void {
    this.#work.run(async () => {
      for await (const connection of this.#listener) this.#work.run(() => this.#admit(connection));
    });
  }

  /** Tell every node to come back later, and take no more. */
  drain(retryAfterMs: number): void {
    this.#draining = true;
    for (const session of this.#context.registry.all()) session.feed({ kind: "drain", retryAfterMs });
  }

  /** End every session and the listener. Idempotent. */
  async close(): Promise<void> {
    this.#draining = true;
    const now = this.#context.clock.monotonicMs();
    const sessions = this.#context.registry.all();
    for (const session of sessions) session.feed({ kind: "stop", now });
    // Each closes once its last message has left, which takes two turns at most; the listener ends the rest.
    const closed = Promise.all(sessions.map((session) => session.connection.closed));
    for (let turn = 0; turn < MAX_CLOSING_TURNS; turn++) await Promise.race([closed, nextTurn()]);
    await this.#listener.close(CLOSE_CODES.draining, "the gateway stops");
    await this.#work.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Awaits nothing itself: a session has enough that waits for its end.
  #admit(connection: Connection): Promise<void> {
    const session = this.#sessionOf(connection);
    return session === undefined ? Promise.resolve() : session.serve();
  }

  /** @returns `undefined` where the connection was turned away */
  #sessionOf(connection: Connection): LiveSession | undefined {
    if (this.#draining) {
      connection.close(CLOSE_CODES.draining, "the gateway stops");
      return undefined;
    }
    const { trust, registry, logger } = this.#context;
    // The handshake's lookup, repeated in the tick in which the session is registered: a revocation since then is seen here, a later one finds the session.
    const verdict = trust.authorize(connection.peer);
    if (verdict.kind === "refuse") {
      const { reason, detail, deviceId } = verdict;
      const facts = { verdict: reason, reason, device: deviceId, detail, attempt: connection.attempt };
      logger.warn(facts, "a connection was refused after its handshake");
      connection.close(LATE_REFUSALS[reason] ?? CLOSE_CODES.protocol, reason);
      return undefined;
    }
    const { deviceId } = verdict;
    if (registry.of(deviceId).filter(({ open }) => open === undefined).length >= MAX_OPENING) {
      registry.count("crowded");
      logger.warn({ device: deviceId, opening: MAX_OPENING }, "a device opens too many connections at once");
      connection.close(CLOSE_CODES.timeout, "too many connections of this device are opening");
      return undefined;
    }
    const session = new LiveSession(connection, verdict, this.#context);
    registry.add(session);
    return session;
  }
}
