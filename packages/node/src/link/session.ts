import {
  MessageStream,
  openNodeSession,
  parseGatewayControl,
  stepNodeSession,
  type Capability,
  type Checkpoint,
  type Connection,
  type Hello,
  type MeshNews,
  type MeshNewsApplied,
  type NodeSession,
  type NodeSessionEffect,
  type NodeSessionInput,
  type NodeSessionStop,
  type RunningAttempt,
  type Step,
  type Welcome,
} from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/** How long a gateway may take to end the stream after our goodbye. */
const GOODBYE_MS = 500;

/** What a session needs to know of its node, and what it tells it. Calls must not throw. */
export interface SessionHooks {
  /** Attempts that are this node's now; each heartbeat renews their leases. */
  running(): readonly RunningAttempt[];
  /** 1-minute load average divided by the cores. */
  load(): number;
  onOnline(welcome: Welcome): void;
  onLeases(leases: Extract<NodeSessionEffect, { kind: "leases" }>): void;
  onDraining(retryAfterMs: number): void;
  /** To be stored in place of the one before. */
  onCheckpoint?(checkpoint: Checkpoint): void;
  /** The gateway wants the certificate renewed now. */
  onRenew?(): void;
  /** The gateway has news of the mesh. Resolves with what to answer once it is stored; never rejects. */
  onNews(news: MeshNews): Promise<MeshNewsApplied | undefined>;
}

/** How a session ended. `cause` is what the stream threw, where that was it. */
export interface SessionEnd {
  readonly stop: NodeSessionStop;
  readonly wasOnline: boolean;
  readonly cause?: unknown;
}

/** The shell of protocol's session machine: one control stream on one connection. */
export class Session {
  readonly #connection: Connection;
  readonly #hooks: SessionHooks;
  readonly #clock: Clock;
  readonly #over = Promise.withResolvers<NodeSessionStop>();
  #stream: MessageStream | undefined;
  #state: NodeSession | undefined;
  #timer: AbortController | undefined;
  #sending: Promise<void> = Promise.resolve();
  #wasOnline = false;
  #cause: unknown;

  constructor(connection: Connection, hooks: SessionHooks, clock: Clock) {
    this.#connection = connection;
    this.#hooks = hooks;
    this.#clock = clock;
  }

  /** Greet, stay, and return how it ended. Never rejects. Closing the connection ends it from outside. @param options as of `openNodeSession` */
  async run(hello: Hello, options?: { readonly judgesSeen: boolean }): Promise<SessionEnd> {
    try {
      this.#stream = new MessageStream(await this.#connection.openStream());
    } catch (cause) {
      return { stop: { kind: "lost" }, wasOnline: false, cause };
    }
    this.#perform(openNodeSession(hello, this.#clock.monotonic(), options));
    const reading = this.#read(this.#stream);
    const stop = await this.#over.promise;
    this.#timer?.abort();
    await this.#sending;
    // A goodbye has to get through before the connection closes; the gateway ends its side when it has it.
    if (stop.kind === "left") await this.#goodbye(reading);
    this.#stream.reset(0);
    await reading;
    return { stop, wasOnline: this.#wasOnline, ...(this.#cause !== undefined && { cause: this.#cause }) };
  }

  /** Attempts started or finished, or time jumped: see whether a heartbeat is due. */
  poke(): void {
    this.#tick();
  }

  /** What this node offers has changed. */
  reportCapabilities(capabilities: readonly Capability[]): void {
    this.#step({ kind: "capabilities", capabilities });
  }

  /** Say goodbye and end. */
  leave(reason: string): void {
    this.#step({ kind: "leave", reason });
  }

  async #goodbye(reading: Promise<void>): Promise<void> {
    const timer = new AbortController();
    await Promise.race([reading, this.#clock.sleep(GOODBYE_MS, timer.signal).catch(() => {})]);
    timer.abort();
  }

  async #read(stream: MessageStream): Promise<void> {
    try {
      for await (const message of stream.messages(parseGatewayControl)) {
        this.#step({ kind: "message", message, now: this.#clock.monotonic() });
      }
    } catch (cause) {
      this.#cause ??= cause;
    }
    this.#step({ kind: "lost" });
  }

  #tick(): void {
    const hooks = this.#hooks;
    this.#step({ kind: "tick", load: hooks.load(), running: hooks.running(), now: this.#clock.monotonic() });
  }

  #step(input: NodeSessionInput): void {
    if (this.#state !== undefined) this.#perform(stepNodeSession(this.#state, input));
  }

  #perform(step: Step<NodeSession, NodeSessionEffect>): void {
    this.#state = step.state;
    for (const effect of step.effects) this.#act(effect);
  }

  #act(effect: NodeSessionEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#queue((stream) => stream.send(effect.message));
      case "end":
        return this.#queue((stream) => stream.end(effect.message));
      case "online":
        this.#wasOnline = true;
        return this.#hooks.onOnline(effect.welcome);
      case "leases":
        return this.#hooks.onLeases(effect);
      case "apply-policy":
        // This node has no policy of its own to change yet: what it was told is in effect as soon as it is read.
        return this.#step({ kind: "policy-applied", version: effect.version });
      case "draining":
        return this.#hooks.onDraining(effect.retryAfterMs);
      case "checkpoint":
        return this.#hooks.onCheckpoint?.(effect.checkpoint);
      case "renew":
        return this.#hooks.onRenew?.();
      case "news":
        return this.#keep(effect.news);
      case "schedule":
        return this.#schedule(effect.at);
      case "stop":
        return this.#over.resolve(effect.stop);
      default:
        return effect satisfies never;
    }
  }

  #keep(news: MeshNews): void {
    void this.#hooks.onNews(news).then((applied) => {
      if (applied !== undefined) this.#step({ kind: "news-applied", applied });
    });
  }

  /** One write after the other; a failed one ends the session, the rest are then in vain. */
  #queue(write: (stream: MessageStream) => Promise<void> | undefined): void {
    this.#sending = this.#sending.then(async () => {
      if (this.#stream === undefined || this.#cause !== undefined) return;
      try {
        await write(this.#stream);
      } catch (cause) {
        this.#cause ??= cause;
        this.#step({ kind: "lost" });
      }
    });
  }

  #schedule(at: number): void {
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    void this.#tickAt(at, timer.signal);
  }

  async #tickAt(at: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(Math.max(0, at - this.#clock.monotonic()), signal);
    } catch {
      return;
    }
    this.#tick();
  }
}
