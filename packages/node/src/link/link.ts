import {
  backoffMs,
  CLOSE_CODES,
  dialVerdict,
  planRedial,
  type CloseInfo,
  type Connection,
  type Hello,
  type SocketAddress,
  type Transport,
  type Welcome,
} from "@quaymesh/protocol";
import { meshServerName } from "@quaymesh/identity";
import { Bell } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { MESH_PROTOCOL } from "../protocols.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import { withClocks } from "./clocks.ts";
import { failureOf, failureOfClose, type LinkFailure } from "./failure.ts";
import { calledForRenewal, tryRenewal, type LateOutcome } from "./late.ts";
import { Observable } from "./observable.ts";
import { Session, type SessionEnd, type SessionHooks } from "./session.ts";
import type { NodeState } from "./state.ts";
import { watchForWake } from "./wake.ts";

/** How long the peer's own word on the end of a connection is waited for. */
const LAST_WORD_MS = 500;

/** A session that is online. `signal` aborts when it is over. */
export interface OnlineSession {
  readonly connection: Connection;
  readonly welcome: Welcome;
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
  readonly hooks: Omit<SessionHooks, "onOnline">;
  /** Get another certificate where pairing endpoints are, and have `identity` give it from then on. @throws {NodeError} */
  readonly renewLate: (signal: AbortSignal) => Promise<void>;
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
  #isLeaving = false;

  constructor(options: LinkOptions) {
    this.#options = options;
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
        const late = calledForRenewal(end.failure) ? await this.#renewLate(end.failure, attempt, signal) : undefined;
        if (signal.aborted || this.#isLeaving) break;
        // Once: a gateway that refuses what it has just given will not be pressed.
        if (late?.kind === "renewed" && !renewed) {
          renewed = true;
          continue;
        }
        renewed = false;
        if (late?.kind === "stop") throw late.error;
        const error = late?.kind === "wait" ? late.error : end.failure.error;
        const plan = planRedial(end.failure.verdict, attempt, clock.random(), {
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

  async #renewLate(failure: LinkFailure, attempt: number, signal: AbortSignal): Promise<LateOutcome> {
    const identity = this.#options.identity();
    return await tryRenewal(failure, identity, async () => {
      this.state.set({ kind: "renewing", attempt, addresses: identity.pairingAddresses ?? [] });
      await this.#options.renewLate(signal);
    }).catch((cause: unknown) => {
      if (signal.aborted) return { kind: "wait", error: failure.error };
      throw cause;
    });
  }

  /** One dial and what comes of it. */
  async #once(
    attempt: number,
    signal: AbortSignal,
  ): Promise<{ readonly failure: LinkFailure; readonly wasOnline: boolean; readonly retryAfterMs?: number }> {
    const { transport, clock } = this.#options;
    const identity = this.#options.identity();
    const address = identity.addresses[this.#addressIndex % identity.addresses.length] ?? { host: "", port: 0 };
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
      this.#addressIndex += 1;
      return { failure: failureOf(cause, address), wasOnline: false };
    }
    this.#connection = connection;
    const { end, serving } = await this.#serve(connection, { address, began });
    if (!end.wasOnline) this.#addressIndex += 1;
    const judged = await this.#judge(end, connection, address);
    this.#connection = undefined;
    connection.close(CLOSE_CODES.ok);
    await connection.closed;
    // Only now: some of it ends with the connection.
    await serving;
    return judged;
  }

  async #serve(
    connection: Connection,
    dialed: { readonly address: SocketAddress; readonly began: number },
  ): Promise<{ readonly end: SessionEnd; readonly serving: Promise<void> }> {
    const { clock, hooks, hello } = this.#options;
    const over = new AbortController();
    let serving: Promise<void> = Promise.resolve();
    const session = new Session(
      connection,
      {
        ...hooks,
        onOnline: (welcome) => {
          const { sessionEpoch } = welcome;
          // The gateway names its mesh by id; people know it by name.
          const { mesh } = this.#options.identity();
          const { address } = dialed;
          const handshakeMs = clock.monotonic() - dialed.began;
          this.state.set({ kind: "online", address, since: clock.now(), mesh, sessionEpoch, handshakeMs });
          const online: OnlineSession = { connection, welcome, signal: over.signal };
          this.#online.set(online);
          serving = this.#options.serve(online);
        },
      },
      clock,
    );
    this.#session = session;
    const end = await session.run(hello());
    this.#session = undefined;
    this.#online.set(undefined);
    over.abort(new NodeError("SESSION_LOST", "the session with the gateway ended"));
    return { end, serving };
  }

  /** What the end of a session means for the next dial. */
  async #judge(
    end: SessionEnd,
    connection: Connection,
    address: SocketAddress,
  ): Promise<{ readonly failure: LinkFailure; readonly wasOnline: boolean; readonly retryAfterMs?: number }> {
    const { stop, wasOnline } = end;
    switch (stop.kind) {
      case "revoked": {
        const error = new NodeError("DEVICE_REVOKED", `this device was revoked: ${stop.reason}`, {
          details: { epoch: stop.epoch },
        });
        return { failure: { verdict: "revoked", error }, wasOnline };
      }
      case "drained": {
        const error = new NodeError("GATEWAY_BUSY", "the gateway stops for now", { retryAfterMs: stop.retryAfterMs });
        return { failure: { verdict: "draining", error }, wasOnline, retryAfterMs: stop.retryAfterMs };
      }
      case "no-welcome":
      case "silent": {
        const what =
          stop.kind === "silent" ? "the gateway fell silent" : "the gateway did not welcome this node in time";
        return { failure: { verdict: "other", error: new NodeError("SESSION_LOST", what) }, wasOnline };
      }
      case "protocol": {
        const error = new NodeError("GATEWAY_PROTOCOL", `the gateway broke the protocol: ${stop.what}`);
        return { failure: { verdict: "other", error }, wasOnline };
      }
      case "left":
        return { failure: { verdict: "other", error: new NodeError("NODE_STOPPED", "this node left") }, wasOnline };
      case "lost": {
        const close = await this.#lastWord(connection);
        const { attempt } = connection;
        // A close of the gateway's says why; the stream's own error only that.
        if (close !== undefined && dialVerdict(close) !== "other") {
          return { failure: failureOfClose(close, { address, attempt, cause: end.cause }), wasOnline };
        }
        const failure = end.cause === undefined ? undefined : failureOf(end.cause, address);
        return { failure: failure ?? failureOfClose(close ?? { kind: "idle" }, { address, attempt }), wasOnline };
      }
      default:
        return stop satisfies never;
    }
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
