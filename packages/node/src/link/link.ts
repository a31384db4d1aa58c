import {
  backoffMs,
  CLOSE_CODES,
  planRedial,
  type Checkpoint,
  type CloseInfo,
  type Connection,
  type Hello,
  type MeshNews,
  type MeshNewsApplied,
  type SocketAddress,
  type Transport,
  type Welcome,
} from "@quaymesh/protocol";
import { meshServerName } from "@quaymesh/identity";
import { Bell } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { dialAddresses } from "../mesh/moves.ts";
import { MESH_PROTOCOL } from "../protocols.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import { withClocks } from "./clocks.ts";
import { failureOf, type LinkFailure } from "./failure.ts";
import { Hints, type FindMesh } from "./hints.ts";
import { calledForRenewal, tryRenewal, type LateOutcome } from "./late.ts";
import { calledForRoots, tryFollowing } from "./untrusted.ts";
import { judgeEnd, type LinkEnd } from "./judge-end.ts";
import { Observable } from "./observable.ts";
import type { Recovery } from "./recovery.ts";
import { Session, type SessionEnd, type SessionHooks } from "./session.ts";
import type { NodeState } from "./state.ts";
import { watchForWake } from "./wake.ts";

/** How long the peer's own word on the end of a connection is waited for. */
const LAST_WORD_MS = 500;

/** A session that is online. `signal` aborts when it is over. */
export interface OnlineSession {
  readonly connection: Connection;
  readonly welcome: Welcome;
  /** As it was dialed. */
  readonly address: SocketAddress;
  readonly signal: AbortSignal;
}

/** What a {@link Link} works with. */
export interface LinkOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** As it is now: a renewed certificate or a new address counts from the next dial on. */
  readonly identity: () => NodeIdentity;
  readonly keyPem: () => string;
  readonly hello: () => Hello;
  readonly hooks: Omit<SessionHooks, "onOnline" | "onNews" | "onCheckpoint">;
  /** The newest checkpoint, and whether it is held against what the gateway on a connection shows. */
  readonly seen: {
    judges(connection: Connection): boolean;
    /** Never rejects. */
    keep(checkpoint: Checkpoint, connection: Connection): void;
  };
  /** What the mesh endpoint refuses this node for want of; `identity` gives it from then on. */
  readonly recovery: Pick<Recovery, "renew" | "followRoots">;
  /** Judge and store news of the mesh that came over a connection. Resolves with what to answer; never rejects. */
  readonly keepNews: (news: MeshNews, connection: Connection) => Promise<MeshNewsApplied | undefined>;
  /** Where the gateway might be, once it is at none of the addresses that are known. */
  readonly elsewhere?: FindMesh | undefined;
  /** What goes on while a session is online. Returns when `session.signal` aborts; never rejects. */
  readonly serve: (session: OnlineSession) => Promise<void>;
}

/** Keeps one session with the gateway: dials, greets, waits and dials again. */
export class Link {
  readonly state = new Observable<NodeState>({ kind: "idle" });
  readonly #options: LinkOptions;
  readonly #online = new Observable<OnlineSession | undefined>(undefined);
  /** Rings when waiting makes no sense any more. */
  readonly #hurry = new Bell();
  #session: Session | undefined;
  #connection: Connection | undefined;
  #addressIndex = 0;
  /** The addresses that the index is about. */
  #listed = "";
  #isLeaving = false;
  readonly #hints: Hints;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#hints = new Hints(options.elsewhere, options.clock);
  }

  /** The session that is online now, or the next one. @throws rethrows `signal.reason` */
  async online(signal?: AbortSignal): Promise<OnlineSession> {
    for await (const session of this.#online.watch({ signal })) {
      if (session !== undefined && !session.signal.aborted) return session;
    }
    throw new NodeError("NODE_STOPPED", "the node has stopped");
  }

  /** A short pause with jitter before something on a live session is tried again. @throws rethrows `signal.reason` */
  settle(signal?: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    return clock.sleep(backoffMs(1, clock.random()), signal);
  }

  /** Attempts started or finished: the gateway may have to hear of it before the next heartbeat. */
  poke(): void {
    this.#session?.poke();
  }

  /** Begin a new session: what the hello said no longer holds. */
  redial(reason: string): void {
    this.#connection?.close(CLOSE_CODES.ok, reason);
  }

  /** End the session with a goodbye and dial no more; {@link Link.run} then returns. */
  leave(reason: string): void {
    this.#isLeaving = true;
    this.#session?.leave(reason);
    this.#hurry.ring();
  }

  /**
   * Stay connected until `signal` aborts.
   * @throws {NodeError} when dialing again cannot help: `DEVICE_REVOKED`, `DEVICE_UNKNOWN`, `RENEW_TOO_LATE`, `CERTIFICATE_EXPIRED` where nobody can be asked for another, `GATEWAY_REFUSED`, `GATEWAY_UNTRUSTED`, `GATEWAY_PROTOCOL`
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const over = new AbortController();
    const waking = watchForWake(clock, () => this.#wake(), over.signal);
    const onAbort = (): void => this.#connection?.close(CLOSE_CODES.ok, "stopped");
    signal.addEventListener("abort", onAbort);
    let attempt = 0;
    let renewed = false;
    try {
      while (!signal.aborted && !this.#isLeaving) {
        attempt += 1;
        const once = await this.#once(attempt, signal);
        const end = { ...once, failure: withClocks(once.failure, this.#options.identity(), clock.now()) };
        if (signal.aborted || this.#isLeaving) break;
        if (end.wasOnline) attempt = 1;
        const late = await this.#recover(end.failure, attempt, signal);
        if (signal.aborted || this.#isLeaving) break;
        // Once: a gateway that refuses what it has just given will not be pressed.
        if (late?.kind === "renewed" && !renewed) {
          renewed = true;
          continue;
        }
        renewed = false;
        if (late?.kind === "stop") throw late.error;
        const error = late?.kind === "wait" ? late.error : end.failure.error;
        // Who was asked for help has said to wait; without it the failure decides.
        const verdict = late?.kind === "wait" ? "other" : end.failure.verdict;
        const plan = planRedial(verdict, attempt, clock.random(), {
          ...((end.retryAfterMs ?? error.retryAfterMs) !== undefined && {
            retryAfterMs: end.retryAfterMs ?? error.retryAfterMs ?? 0,
          }),
        });
        if (plan.kind === "stop") throw error;
        this.state.set({ kind: "waiting", attempt, retryInMs: plan.afterMs, error });
        await this.#pause(plan.afterMs, signal);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      over.abort();
      await waking;
    }
  }

  /** Ask at the pairing endpoint for what the mesh endpoint refused this node for want of. @returns `undefined` where that is nothing it could give */
  async #recover(failure: LinkFailure, attempt: number, signal: AbortSignal): Promise<LateOutcome | undefined> {
    const identity = this.#options.identity();
    const renew = async (): Promise<void> => {
      this.state.set({ kind: "renewing", attempt, addresses: identity.pairingAddresses ?? [] });
      await this.#options.recovery.renew(signal);
    };
    const follow = (): Promise<void> => this.#options.recovery.followRoots(signal);
    try {
      if (calledForRenewal(failure)) return await tryRenewal(failure, identity, renew);
      if (calledForRoots(failure, identity)) return await tryFollowing(failure, identity, { follow, renew });
      return undefined;
    } catch (cause) {
      if (signal.aborted) return { kind: "wait", error: failure.error };
      throw cause;
    }
  }

  /** Where to dial now. Addresses that changed are tried from the first on. */
  #address(identity: NodeIdentity): SocketAddress {
    const addresses = [...dialAddresses(identity), ...this.#hints.addresses];
    const listed = addresses.map(formatAddress).join();
    if (listed !== this.#listed) this.#addressIndex = 0;
    this.#listed = listed;
    return addresses[this.#addressIndex % addresses.length] ?? { host: "", port: 0 };
  }

  /** One dial and what comes of it. */
  async #once(attempt: number, signal: AbortSignal): Promise<LinkEnd> {
    const { transport, clock } = this.#options;
    const identity = this.#options.identity();
    const address = this.#address(identity);
    const began = clock.monotonic();
    this.state.set({ kind: "dialing", address, attempt });
    let connection: Connection;
    try {
      connection = await transport.dial(address, {
        protocol: MESH_PROTOCOL,
        serverName: meshServerName(identity.meshId),
        credentials: { keyPem: this.#options.keyPem(), chainPem: identity.chainPem },
        trust: { kind: "anchored", anchorsPem: identity.rootPem },
        signal,
      });
    } catch (cause) {
      return { failure: await this.#notReached(cause, address, signal), wasOnline: false };
    }
    this.#connection = connection;
    const { end, serving } = await this.#serve(connection, { address, began });
    if (!end.wasOnline) this.#addressIndex += 1;
    // A gateway that is about to move is looked for at its new address first, each time.
    else if (this.#options.identity().formerAddresses !== undefined) this.#addressIndex = 0;
    const judged = await judgeEnd(end, { address, attempt: connection.attempt }, () => this.#lastWord(connection));
    this.#connection = undefined;
    connection.close(end.stop.kind === "behind" ? CLOSE_CODES.behind : CLOSE_CODES.ok);
    await connection.closed;
    // Only now: some of it ends with the connection.
    await serving;
    return judged;
  }

  async #notReached(cause: unknown, address: SocketAddress, signal: AbortSignal): Promise<LinkFailure> {
    const { identity } = this.#options;
    const { meshId } = identity();
    const known = dialAddresses(identity());
    this.#addressIndex += 1;
    if (this.#hints.addresses.includes(address)) return this.#hints.failure(address, cause);
    const failure = failureOf(cause, address);
    const isLast = this.#addressIndex % known.length === 0;
    if (isLast && failure.error.code === "GATEWAY_UNREACHABLE") await this.#hints.search(meshId, known, signal);
    return failure;
  }

  async #serve(
    connection: Connection,
    dialed: { readonly address: SocketAddress; readonly began: number },
  ): Promise<{ readonly end: SessionEnd; readonly serving: Promise<void> }> {
    const { clock, hooks, hello, seen } = this.#options;
    const over = new AbortController();
    let serving: Promise<void> = Promise.resolve();
    const session = new Session(
      connection,
      {
        ...hooks,
        onNews: (news) => this.#options.keepNews(news, connection),
        onCheckpoint: (checkpoint) => seen.keep(checkpoint, connection),
        onOnline: (welcome) => {
          const { sessionEpoch } = welcome;
          // The gateway names its mesh by id; people know it by name.
          const { mesh } = this.#options.identity();
          const { address } = dialed;
          const handshakeMs = clock.monotonic() - dialed.began;
          this.state.set({ kind: "online", address, since: clock.now(), mesh, sessionEpoch, handshakeMs });
          const online: OnlineSession = { connection, welcome, address, signal: over.signal };
          this.#online.set(online);
          serving = this.#options.serve(online);
        },
      },
      clock,
    );
    this.#session = session;
    const end = await session.run(hello(), { judgesSeen: seen.judges(connection) });
    this.#session = undefined;
    this.#online.set(undefined);
    over.abort(new NodeError("SESSION_LOST", "the session with the gateway ended"));
    return { end, serving };
  }

  async #lastWord(connection: Connection): Promise<CloseInfo | undefined> {
    const timer = new AbortController();
    try {
      return await Promise.race([
        connection.closed,
        this.#options.clock.sleep(LAST_WORD_MS, timer.signal).then(
          () => undefined,
          () => undefined,
        ),
      ]);
    } finally {
      timer.abort();
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const both = AbortSignal.any([signal, timer.signal]);
    await Promise.race([this.#options.clock.sleep(ms, both).catch(() => {}), this.#hurry.wait(both).catch(() => {})]);
    timer.abort();
  }

  #wake(): void {
    this.#hurry.ring();
    // Its peer has long given it up, or will not hear of it before a timeout: a new one is quicker than finding out.
    this.redial("woke from sleep");
  }
}
