import {
  CLOSE_CODES,
  openGatewaySession,
  stepGatewaySession,
  type ByteStream,
  type Connection,
  type GatewaySession,
  type GatewaySessionEffect,
  type GatewaySessionInput,
  type MessageStream,
  type Capability,
  type Hello,
  type ErrorFacts,
  type OpenGatewaySession,
  type SessionEnd,
} from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import { newsApplied } from "../mesh/sessions.ts";
import type { SessionContext } from "./context.ts";
import { ControlStream } from "./control-stream.ts";
import { HeartbeatQueue } from "./heartbeats.ts";
import { OwnedTasks } from "./owned.ts";
import { awaitPeerEnd } from "./peer-end.ts";
import { registerSession, renewAttempts } from "./registration.ts";
import type { SessionView } from "./service.ts";
import { serveStream } from "./streams.ts";
import { FIRST_FRAME_MS, type LateFrame } from "./timed-stream.ts";

/** How long a peer may take to end its side after it was told why its session is over. docs/wire.md, "Close codes". */
const LAST_WORD_MS = 1000;

const NO_TIMER = () => undefined;

/** Who is at the other end, by its certificate. */
export interface SessionIdentity {
  readonly deviceId: string;
  readonly serial: string;
  /** The certificate is older than a restore, and unknown to what was restored. */
  readonly adopted?: boolean;
}

/** One connection of a device, from its acceptance to its end. The protocol's session machine decides; this performs what it says. */
export class LiveSession {
  readonly deviceId: string;
  readonly serial: string;
  readonly adopted: boolean;
  readonly connection: Connection;
  readonly context: SessionContext;
  /** Of the device, as of its registration. */
  labels: readonly string[] = [];
  /** 0 until the store gave it one. */
  sessionEpoch = 0;
  /** What its node has said it knows of the mesh. */
  knows: Pick<Hello, "roots" | "moved"> = {};
  /** In this session, for another certificate than the one it began with. */
  askedToRenew = false;
  /** The outbox epoch of its hello. */
  outboxEpoch: Uint8Array | undefined;
  readonly #control = new ControlStream();
  readonly #work: OwnedTasks;
  #openedAt = 0;
  readonly #heartbeats = new HeartbeatQueue((seq, running) => renewAttempts(this, seq, running));
  #state: GatewaySession;
  /** When the machine is told the time next. */
  #tickAt = Infinity;
  #cancelTimer: () => void = NO_TIMER;
  #cancelFirstFrame: () => void = NO_TIMER;

  constructor(connection: Connection, identity: SessionIdentity, context: SessionContext) {
    this.connection = connection;
    this.deviceId = identity.deviceId;
    this.serial = identity.serial;
    this.adopted = identity.adopted ?? false;
    this.context = context;
    this.#work = new OwnedTasks((error) => this.#broke(error));
    this.#state = { kind: "opening", device: identity.deviceId, deadline: Infinity };
  }

  get state(): GatewaySession {
    return this.#state;
  }

  /** The open session; undefined before `Welcome` and after its end. */
  get open(): OpenGatewaySession | undefined {
    return this.#state.kind === "open" ? this.#state : undefined;
  }

  /** `host:port` of the peer now. */
  get remoteAddress(): string {
    const { host, port } = this.connection.remoteAddress;
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  }

  view(): SessionView | undefined {
    const open = this.open;
    if (open === undefined) return undefined;
    const wall = this.context.clock.now() - this.context.clock.monotonicMs();
    return {
      deviceId: this.deviceId,
      sessionEpoch: open.sessionEpoch,
      openedAt: this.#openedAt,
      lastHeardAt: wall + open.lastHeardAt,
      remoteAddress: this.remoteAddress,
      load: open.load ?? 0,
      runningAttempts: open.running.length,
    };
  }

  /** Serve the connection to its end. Never rejects: a session that fails ends alone. */
  async serve(): Promise<void> {
    const { state, effects } = openGatewaySession(this.deviceId, this.context.clock.monotonicMs());
    this.#state = state;
    this.#perform(effects);
    // A stream that is open is not yet a frame: a peer that sends a byte and stops must not hold the connection for longer than one that sends none.
    this.#cancelFirstFrame = this.context.clock.after(FIRST_FRAME_MS, () => {
      this.late("first-frame");
      this.connection.close(CLOSE_CODES.timeout, "no frame came in time");
    });
    this.#work.run(async () => {
      for await (const stream of this.connection.incomingStreams) this.#work.run(() => serveStream(stream, this));
    });
    await this.connection.closed;
    this.#cancelFirstFrame();
    // What fails at it is heard, and the rest is done all the same.
    this.#work.run(async () => this.feed({ kind: "lost", now: this.context.clock.monotonicMs() }));
    const { registry } = this.context;
    registry.remove(this);
    await this.#work.settled();
    this.#cancelTimer();
    // Registered after all, by work that was under way when the connection went.
    registry.retire(this);
  }

  /** Step the machine and perform its effects. */
  feed(input: GatewaySessionInput): void {
    const { state, effects } = stepGatewaySession(this.#state, input);
    this.#state = state;
    this.#perform(effects);
  }

  /** The control stream is there: its messages go out on it from now on. */
  attach(control: Parameters<ControlStream["attach"]>[0]): void {
    this.#control.attach(control);
  }

  /** The first frame of a stream is complete. */
  heard(): void {
    this.#cancelFirstFrame();
    // What cancels a timer holds on to it.
    this.#cancelFirstFrame = NO_TIMER;
  }

  /** The peer did not end a frame in time: its stream, or the connection where it has said nothing yet, is cut. */
  late(what: LateFrame): void {
    const { registry, logger, pace } = this.context;
    registry.count(what);
    const facts = pace.line(this.deviceId, what);
    if (facts === undefined) return;
    logger.warn({ ...facts, reason: what, remote: this.remoteAddress }, "a peer was late with a frame");
  }

  /** Nothing more comes on the control stream. */
  controlEnded(): void {
    this.#control.peerEnded();
  }

  /** End the session because the peer broke the protocol: it is told on the control stream, which is read to its end, and the connection closes. */
  async refuse(error: ErrorFacts, control: MessageStream): Promise<void> {
    this.feed({ kind: "lost", now: this.context.clock.monotonicMs() });
    this.#work.run(async () => {
      await awaitPeerEnd(control, this.context.clock);
      this.controlEnded();
    });
    await this.#control.fail(error);
    await this.#close(CLOSE_CODES.protocol, error.code);
  }

  /** The device is revoked. A session that is over already, and gives its peer a moment to read why, gives no such moment any more. */
  revoke(epoch: number, reason: string): void {
    const isOver = this.#state.kind === "closed";
    this.feed({ kind: "revoke", epoch, reason, now: this.context.clock.monotonicMs() });
    if (isOver) this.connection.close(CLOSE_CODES.revoked, "revoked");
  }

  /** Resolves when the node may send more: its heartbeats do not pile up. `undefined`: it may now. */
  roomForMore(): Promise<void> | undefined {
    return this.#heartbeats.room();
  }

  /** A stream to the node. @throws {TransportError} `CONNECTION_CLOSED` */
  openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream> {
    return this.connection.openStream(options);
  }

  #perform(effects: readonly GatewaySessionEffect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: GatewaySessionEffect): void {
    switch (effect.kind) {
      case "register":
        return this.#work.run(() => registerSession(this, effect.hello));
      case "send":
        return this.#work.run(() => this.#control.send(effect.message));
      case "online":
        return this.#online();
      case "offline":
        return this.#work.run(() => this.#offline(effect.end));
      case "renew-leases":
        return this.#work.run(() => this.#heartbeats.renew(effect.seq, effect.running));
      case "capabilities":
        return this.#work.run(() => this.#capabilities(effect.capabilities));
      case "policy-applied":
        return this.context.logger.debug({ device: this.deviceId, version: effect.version }, "policy applied");
      case "news-applied":
        return this.#work.run(() => newsApplied(this, effect.applied));
      case "fail":
        return this.#work.run(() => this.#control.fail(effect));
      case "close":
        return this.#work.run(() => this.#close(effect.code, effect.reason));
      case "schedule":
        return this.#schedule(effect.at);
      default:
        return effect satisfies never;
    }
  }

  #online(): void {
    const open = this.open;
    if (open === undefined) return;
    const { registry, dispatch, logger, clock } = this.context;
    this.#openedAt = clock.now();
    registry.announce(this);
    dispatch.online(this, open.capabilities, this.labels);
    logger.info(
      { device: this.deviceId, sessionEpoch: open.sessionEpoch, remote: this.remoteAddress },
      "device is online",
    );
  }

  async #offline(end: SessionEnd): Promise<void> {
    const { registry, dispatch, store, logger, clock } = this.context;
    const wasCurrent = registry.current(this.deviceId) === this;
    registry.retire(this);
    dispatch.offline(this);
    logger.info({ device: this.deviceId, sessionEpoch: this.sessionEpoch, end }, "device is offline");
    if (end === "left") this.connection.close(CLOSE_CODES.ok, "bye");
    // The session that superseded this one has already said what the device runs; of a revoked device its receipt says it.
    if (!wasCurrent || end === "revoked") return;
    const now = clock.now();
    await store.sessions.close({ deviceId: this.deviceId, sessionEpoch: this.sessionEpoch, now });
    if (registry.current(this.deviceId) === undefined) await store.tasks.disconnect({ deviceId: this.deviceId, now });
  }

  async #capabilities(capabilities: readonly Capability[]): Promise<void> {
    this.context.dispatch.capabilities(this, capabilities);
    const rows = capabilities.map(({ name, concurrency }) => ({ name, concurrency }));
    const { store, logger } = this.context;
    try {
      await store.sessions.setCapabilities({ deviceId: this.deviceId, capabilities: rows });
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      // The picture in memory is what work is given by; the row catches up with the next report.
      logger.warn({ device: this.deviceId, code: error.code }, "capabilities could not be stored");
    }
  }

  /** Close once what was sent before has left: the notice says why, the code alone would not. */
  async #close(code: number, reason: string): Promise<void> {
    await this.#control.flushed();
    if (this.#control.hasFailed) await this.#lastWordRead();
    this.connection.close(code, reason);
  }

  /** A close overtakes what its peer has not read: whoever is refused gets a moment to read why. Its end of the stream says that it has. */
  async #lastWordRead(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.context.clock.after(LAST_WORD_MS, resolve);
    await Promise.race([this.#control.peerEnd, this.connection.closed, late]);
    cancel();
  }

  // Set anew only for an earlier time: each heartbeat puts it off, and a tick that comes early is answered with the time of the next.
  #schedule(at: number): void {
    if (at >= this.#tickAt) return;
    const { clock } = this.context;
    this.#cancelTimer();
    this.#tickAt = at;
    this.#cancelTimer = clock.after(Math.max(0, at - clock.monotonicMs()), () => {
      this.#tickAt = Infinity;
      this.feed({ kind: "tick", now: clock.monotonicMs() });
    });
  }

  #broke(error: unknown): void {
    const { logger } = this.context;
    logger.error({ device: this.deviceId, error }, "a session failed");
    this.connection.close(CLOSE_CODES.internal, "internal error");
  }
}
