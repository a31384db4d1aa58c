import { availableParallelism, loadavg } from "node:os";
import type { Hello } from "@quaymesh/protocol";
import { NodeError } from "./errors.ts";
import { checkKind, encodeBody } from "./events/body.ts";
import { OutboxPublisher } from "./events/outbox-publisher.ts";
import { subscribe, type NodeSubscription, type SubscribeOptions } from "./events/subscribe.ts";
import { ThrottleNotice } from "./events/throttle-notice.ts";
import { keepWelcome } from "./link/keep-welcome.ts";
import { Link, type OnlineSession } from "./link/link.ts";
import { helloOf } from "./link/hello.ts";
import { Recovery } from "./link/recovery.ts";
import { keepRenewed, RenewalDemand } from "./link/renewal.ts";
import type { NodeState } from "./link/state.ts";
import { keepNews } from "./mesh/keep-news.ts";
import { knownMove } from "./mesh/moves.ts";
import { pinsOf, rootBelow } from "./mesh/roots.ts";
import { NodeLog } from "./node-log.ts";
import type { NodeOptions, PublishOptions, RunOptions, StopOptions } from "./node-options.ts";
import { openParts, type NodeParts } from "./node-parts.ts";
import type { NodeIdentity } from "./state/identity-file.ts";
import { IdentityKeeper } from "./state/identity-keeper.ts";
import { StatusWriter } from "./state/status.ts";
import { execTask } from "./tasks/exec.ts";
import { TaskRunner } from "./tasks/runner.ts";
import { within } from "./within.ts";

const SOFTWARE = "quaymesh-node/0.1.0";
const DEFAULT_CONCURRENCY = 8;
const DEFAULT_MAX_QUEUED = 16;
const DEFAULT_GRACE_MS = 5000;
const DEFAULT_FLUSH_MS = 5000;
/** How long work that was told to stop has to do so and be reported as handed back. */
const HAND_BACK_MS = 2000;
/** From goodbye to the connection closing anyway. */
const GOODBYE_MS = 2000;

/** A paired device at work: keeps its session with the gateway, publishes what it records, runs what it is asked to. */
export class Node implements AsyncDisposable {
  readonly #parts: NodeParts;
  readonly #link: Link;
  readonly #runner: TaskRunner;
  readonly #status: StatusWriter;
  readonly #log: NodeLog;
  readonly #keeper: IdentityKeeper;
  readonly #publishing: OutboxPublisher;
  readonly #throttle: ThrottleNotice;
  /** Of the session that is online. */
  #demand = new RenewalDemand();
  #running: { readonly done: Promise<void>; readonly abort: AbortController } | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(parts: NodeParts) {
    const { options, clock, outbox, journal } = parts;
    this.#parts = parts;
    const keeper = new IdentityKeeper(parts.layout, parts.identity);
    this.#keeper = keeper;
    this.#log = new NodeLog(options.log);
    const exec = options.exec === undefined || options.exec.length === 0 ? [] : [execTask(options.exec)];
    this.#runner = new TaskRunner({
      definitions: [...(options.tasks ?? []), ...exec],
      concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
      maxQueued: options.maxQueuedTasks ?? DEFAULT_MAX_QUEUED,
      outbox,
      journal,
      clock,
      emit: (kind, data) => this.publish(kind, data),
      onChange: () => this.#link.poke(),
      onUrgent: () => this.#publishing.flush(),
      log: (line) => this.#log.line(line),
    });
    this.#link = new Link({
      transport: options.transport,
      clock,
      identity: () => keeper.current,
      keyPem: () => parts.key.privatePem().reveal(),
      hello: () => this.#hello(),
      hooks: {
        running: () => this.#runner.running,
        load: () => (loadavg()[0] ?? 0) / availableParallelism(),
        onLeases: (leases) => this.#runner.onLeases(leases),
        onRenew: () => this.#demand.make(),
        onDraining: (retryAfterMs) => {
          this.#log.line({
            level: "info",
            event: "link.draining",
            message: "the gateway is about to stop",
            details: { retryAfterMs },
          });
        },
      },
      seen: {
        judges: (connection) => parts.seen.judges(rootBelow(keeper.current, connection)),
        keep: (checkpoint, connection) => {
          const stored = parts.seen.store(checkpoint, rootBelow(keeper.current, connection));
          void stored.catch((cause: unknown) => this.#log.failure("checkpoint.not-stored", cause));
        },
      },
      recovery: new Recovery({ transport: options.transport, key: parts.key, clock, keeper, log: this.#log }),
      keepNews: (news, connection) => keepNews(news, { connection }, { keeper, clock, log: this.#log }),
      serve: (session) => this.#serve(session),
      elsewhere: options.elsewhere,
    });
    this.#status = new StatusWriter(parts.layout.status);
    const onChange = (): void => void this.#status.write(this.state, this.unacknowledged, this.#throttle.state);
    this.#throttle = new ThrottleNotice({ log: this.#log, now: () => clock.now(), onChange });
    this.#publishing = new OutboxPublisher({
      outbox,
      clock,
      log: this.#log,
      link: this.#link,
      compress: options.compress ?? "auto",
      onThrottle: this.#throttle.heard,
    });
  }

  /**
   * Open a node's state: its identity, its outbox, its lock. Nothing is dialed yet.
   * @throws {NodeError} `NODE_NOT_PAIRED`, `NODE_ALREADY_RUNNING`, `STATE_*`, `OUTBOX_CORRUPT`, `OUTBOX_IO`, `OPTIONS_INVALID`, `TASK_DEFINITION_INVALID`
   */
  static async open(options: NodeOptions): Promise<Node> {
    return await openParts(options, (parts) => {
      const node = new Node(parts);
      node.#log.opened(parts);
      return node;
    });
  }

  /** Who this node is. */
  get identity(): NodeIdentity {
    return this.#keeper.current;
  }

  /** Where it is now. */
  get state(): NodeState {
    return this.#link.state.value;
  }

  /** Events recorded and not yet at the gateway. */
  get unacknowledged(): number {
    return this.#parts.outbox.durable - this.#parts.outbox.acked;
  }

  /**
   * The state now and each that follows; ends with `stopped`. A slow reader misses what lay between, never the latest.
   * @throws rethrows `signal.reason`
   */
  states(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<NodeState> {
    return this.#link.state.watch({ signal: options.signal, isLast: ({ kind }) => kind === "stopped" });
  }

  /**
   * Stay connected and serve until `signal` aborts or {@link Node.stop} is called; then stop gracefully and return.
   * @throws {NodeError} when dialing again cannot help: `DEVICE_REVOKED`, `DEVICE_UNKNOWN`, `RENEW_TOO_LATE`, `CERTIFICATE_EXPIRED` where nobody can be asked for another, `GATEWAY_UNTRUSTED`, `GATEWAY_PROTOCOL`, `STATE_CORRUPT`;
   * `NODE_ALREADY_RUNNING` when it runs, `NODE_STOPPED` when it has stopped
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#stopped !== undefined) throw new NodeError("NODE_STOPPED", "the node has stopped");
    if (this.#running !== undefined) throw new NodeError("NODE_ALREADY_RUNNING", "the node runs already");
    const { signal } = options;
    const abort = new AbortController();
    const onAbort = (): void => void this.stop();
    const done = this.#link.run(abort.signal);
    this.#running = { done: done.catch(() => {}), abort };
    const watching = this.#watchStates(abort.signal);
    const reporting = this.#reportLeftovers(abort.signal);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      await done;
      await this.stop();
    } catch (cause) {
      this.#link.state.set({ kind: "stopped", ...(cause instanceof NodeError && { error: cause }) });
      this.#runner.refuseNew();
      this.#runner.abortAll("the node can not reach its gateway any more");
      throw cause;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      abort.abort();
      await Promise.all([watching, reporting]);
    }
  }

  /**
   * Stop: take no new work, let running work end within `graceMs`, hand what is recorded to the gateway within `flushMs`, say goodbye. What did not get through stays on disk for
   * the next start. Idempotent; the first call's options count.
   */
  stop(options: StopOptions = {}): Promise<void> {
    this.#stopped ??= this.#shutDown(options);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Record an event. It reaches the gateway when there is one to reach: over reconnects, restarts and crashes, once in the log.
   * @param kind 1 to 128 characters; `task.` is reserved
   * @param data one CBOR value of at most 64 KiB: null, booleans, numbers, strings, `Uint8Array`s, arrays, plain objects
   * @returns its sequence number in this node's outbox
   * @throws {NodeError} `EVENT_TOO_LARGE`, `OPTIONS_INVALID`, `OUTBOX_FULL`, `OUTBOX_DISK_FULL`, `OUTBOX_IO`, `NODE_STOPPED`
   */
  async publish(kind: string, data: unknown, options: PublishOptions = {}): Promise<number> {
    checkKind(kind);
    const { outbox, clock } = this.#parts;
    const event = { kind, time: clock.now(), data: encodeBody(data) };
    const { durability, flush = false } = options;
    const seq = await outbox.append(event, durability === undefined ? {} : { durability });
    if (flush) this.#publishing.flush();
    return seq;
  }

  /**
   * Resolves when the gateway has committed the event `seq` and all before it.
   * @throws {NodeError} `NODE_STOPPED`; rethrows `signal.reason`
   */
  acknowledged(seq: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#parts.outbox.acknowledged(seq, options.signal);
  }

  /**
   * Events from the gateway's log that the mesh's policy lets this device read (unless an operator set another: its own, or with the label `events-reader` those of all), in order,
   * over as many sessions as it takes. The node has to run.
   * @throws {NodeError} `RESUME_COMPACTED`, `RESUME_FUTURE`, `LOG_CHANGED`, `SUBSCRIPTION_TAKEN`, `SUBSCRIPTION_EXISTS`, `SUBSCRIPTION_LIMIT`, `GATEWAY_UNSUPPORTED`,
   * `GATEWAY_PROTOCOL`, `GATEWAY_REFUSED`, `OPTIONS_INVALID`; rethrows `signal.reason`
   */
  subscribe(options: SubscribeOptions = {}): NodeSubscription {
    return subscribe(this.#link, options);
  }

  /** Beside the session, not before it: with a full outbox there is room only once the gateway has taken something. Never rejects. */
  async #reportLeftovers(signal: AbortSignal): Promise<void> {
    try {
      await this.#runner.reportLeftovers(signal);
    } catch (cause) {
      if (!signal.aborted) this.#log.failure("task.leftover-kept", cause);
    }
  }

  #hello(): Hello {
    const { outbox, options, clock, join, seen } = this.#parts;
    this.#publishing.greeting();
    return helloOf({
      deviceId: this.#keeper.current.deviceId,
      outboxEpoch: outbox.epoch,
      software: options.software ?? SOFTWARE,
      capabilities: this.#runner.capabilities,
      running: this.#runner.running,
      join: join.stored,
      roots: pinsOf(this.#keeper.current),
      moved: knownMove(this.#keeper.current, clock.now()),
      seen: seen.stored,
    });
  }

  /** What goes on while a session is online. Never rejects. */
  async #serve(session: OnlineSession): Promise<void> {
    const { clock, key, join, seen } = this.#parts;
    const keeper = this.#keeper;
    const demand = new RenewalDemand();
    this.#demand = demand;
    const tasks = this.#serveTasks(session);
    await keepWelcome(session, { keeper, join, seen, clock, log: this.#log });
    const renewal = keepRenewed(session, {
      keeper,
      key,
      clock,
      demand,
      onRenewed: ({ notAfter }, demanded) => {
        this.#log.renewed(notAfter);
        if (demanded) this.#link.redial("new certificate");
      },
      onFailed: (cause) => this.#log.failure("certificate.not-renewed", cause),
    });
    await Promise.all([tasks, renewal, this.#publishing.run(session)]);
  }

  async #serveTasks(session: OnlineSession): Promise<void> {
    for await (const stream of session.connection.incomingStreams) void this.#runner.serve(stream);
  }

  async #watchStates(signal: AbortSignal): Promise<void> {
    try {
      for await (const state of this.#link.state.watch({ signal, isLast: ({ kind }) => kind === "stopped" })) {
        this.#log.state(state);
        await this.#status.write(state, this.unacknowledged, this.#throttle.state);
      }
    } catch {
      // Run is over; the last state is written by whoever ended it.
    }
  }

  async #shutDown(options: StopOptions): Promise<void> {
    const { graceMs = DEFAULT_GRACE_MS, flushMs = DEFAULT_FLUSH_MS } = options;
    const { outbox, lock, clock } = this.#parts;
    const failed = this.state.kind === "stopped";
    if (!failed) this.#link.state.set({ kind: "stopping" });
    this.#runner.refuseNew();
    await within(clock, graceMs, (signal) => this.#runner.idle(signal));
    this.#runner.abortAll("the node stops");
    await within(clock, HAND_BACK_MS, (signal) => this.#runner.idle(signal));
    if (this.#publishing.isUnderWay) {
      this.#publishing.flush();
      await within(clock, flushMs, (signal) => outbox.acknowledged(outbox.durable, signal));
    }
    this.#link.leave("stopped");
    await within(clock, GOODBYE_MS, () => this.#running?.done ?? Promise.resolve());
    this.#running?.abort.abort();
    await this.#running?.done;
    await outbox.close();
    if (!failed) this.#link.state.set({ kind: "stopped" });
    await this.#status.write(this.state, this.unacknowledged);
    lock[Symbol.dispose]();
  }
}
