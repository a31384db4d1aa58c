import { encodeValue, WIRE_VERSION, type ByteStream, type Connection, type Hello } from "@quaymesh/protocol";
import { OutboxPublisher } from "../../../packages/node/src/events/outbox-publisher.ts";
import { Link, type OnlineSession } from "../../../packages/node/src/link/link.ts";
import type { NodeState } from "../../../packages/node/src/link/state.ts";
import { NodeLog } from "../../../packages/node/src/node-log.ts";
import type { NodeLogLine } from "../../../packages/node/src/node-options.ts";
import { Outbox } from "../../../packages/node/src/outbox/outbox.ts";
import { NodeError } from "@quaymesh/node";
import { fakeCredentials } from "../../../packages/gateway/test/support/fake-trust.ts";
import type { CrashKind, SimDisk } from "../disk.ts";
import { GATEWAY_ADDRESS, type SimNetwork } from "../net/network.ts";
import { Process, type Machine } from "../process.ts";
import { standIn } from "../stand-in.ts";
import { EPOCH_MS, type World } from "../world.ts";
import { MESH_ID } from "./gateway.ts";

/** What a node's process is made of, once it has opened its outbox. */
export interface NodeParts {
  readonly process: Process;
  readonly outbox: Outbox;
  readonly link: Link;
  /** Ends the link. */
  readonly abort: AbortController;
  /** Settles when the link has ended. Never rejects. */
  readonly over: Promise<void>;
}

/** What a scenario adds to a node that only publishes. */
export interface NodeExtras {
  readonly hello: () => Pick<Hello, "capabilities" | "running">;
  readonly hooks: ConstructorParameters<typeof Link>[0]["hooks"];
  readonly serve: (session: OnlineSession) => Promise<void>;
}

/** What {@link SimNode} takes. */
export interface SimNodeOptions {
  readonly world: World;
  readonly network: SimNetwork;
  readonly machine: Machine;
  readonly deviceId: string;
  /** Of its certificate; by default the one that devices are enrolled with before the first start. */
  readonly serial?: string;
  readonly disk: SimDisk;
  readonly onOpen: (parts: NodeParts) => void;
  /** What it says of publishing. */
  readonly onLog?: (line: NodeLogLine) => void;
  /** Told of whatever an honest node and an honest gateway would not come to. */
  readonly onError: (what: string, cause: unknown) => void;
  /** The link is over for good: the gateway told it so. */
  readonly onEnd?: (cause: unknown) => void;
  readonly extras?: (process: Process, outbox: Outbox, link: () => Link, flush: () => void) => NodeExtras;
  /** How often it says a batch twice, as a sender may that has not heard whether the first arrived. A probability. */
  readonly stutter: number;
  /** Packs batches where it pays. */
  readonly packs?: boolean | undefined;
  /** Stand in for the outbox as the publisher sees it. */
  readonly sabotage?: (outbox: Outbox) => Outbox;
}

const DIRECTORY = "/outbox";
/** How long whoever watches over the process waits before it starts it again. */
const RESTART_MS = 1000;
/** From goodbye to the end anyway. */
const GOODBYE_MS = 2000;
const QUIET: NodeExtras = {
  hello: () => ({ capabilities: [] }),
  hooks: { running: () => [], load: () => 0, onLeases: () => undefined, onDraining: () => undefined },
  serve: async () => undefined,
};

/** The machine a node runs on. Its outbox, link, session and publisher are the real ones, put together as `Node` does. */
export class SimNode {
  readonly options: SimNodeOptions;
  #process: Process | undefined;
  #parts: NodeParts | undefined;
  #publisher: OutboxPublisher | undefined;

  constructor(options: SimNodeOptions) {
    this.options = options;
  }

  /** What runs now, once its outbox is open. */
  get parts(): NodeParts | undefined {
    return this.#process?.alive === true ? this.#parts : undefined;
  }

  /** Whether no process runs. */
  get isDown(): boolean {
    return this.#process?.alive !== true;
  }

  /** Where its link is. */
  get state(): NodeState | undefined {
    return this.parts?.link.state.value;
  }

  start(): void {
    const { world, machine } = this.options;
    this.#process?.kill();
    const process = new Process(world, machine);
    this.#process = process;
    this.#parts = undefined;
    this.#publisher = undefined;
    void this.#run(process);
  }

  crash(how: CrashKind): void {
    this.#process?.kill();
    this.#parts = undefined;
    this.options.disk.crash(how);
  }

  /** Say goodbye and end, as `Node.stop` does. @returns when it has; `undefined` where nothing runs that could */
  stop(): Promise<void> | undefined {
    const { parts } = this;
    if (parts === undefined) return undefined;
    this.#parts = undefined;
    return this.#leave(parts);
  }

  /** Send what is recorded now. */
  flush(): void {
    if (this.parts !== undefined) this.#publisher?.flush();
  }

  async #leave({ process, outbox, link, abort, over }: NodeParts): Promise<void> {
    link.leave("stopped");
    await Promise.race([over, process.later(GOODBYE_MS, () => undefined)]);
    abort.abort();
    await over;
    await outbox.close();
    process.kill();
  }

  async #run(process: Process): Promise<void> {
    const { disk, onOpen, onError, onEnd } = this.options;
    let outbox: Outbox;
    try {
      outbox = await Outbox.open({
        directory: DIRECTORY,
        files: disk.mount(process),
        segmentBytes: 2048,
        // Little, so that some of what is sent comes from memory and some from disk.
        recentBytes: 1024,
        maxBytes: 1_000_000,
      });
    } catch (cause) {
      if (cause instanceof NodeError && cause.code === "OUTBOX_CORRUPT") onError("the outbox is damaged", cause);
      process.after(RESTART_MS, () => this.start());
      return;
    }
    const abort = new AbortController();
    const link = this.#link(process, outbox);
    const over = link.run(abort.signal).catch((cause: unknown) => {
      if (onEnd === undefined) onError("the node gave up", cause);
      else onEnd(cause);
    });
    this.#parts = { process, outbox, link, abort, over };
    onOpen(this.#parts);
  }

  #link(process: Process, outbox: Outbox): Link {
    const { network, deviceId, extras: more, sabotage, stutter, packs = false } = this.options;
    const clock = process.nodeClock;
    const extras =
      more?.(
        process,
        outbox,
        () => link,
        () => this.#publisher?.flush(),
      ) ?? QUIET;
    const { keyPem, chainPem } = fakeCredentials(deviceId, this.options.serial);
    const times = { renewAfter: EPOCH_MS * 2, notAfter: EPOCH_MS * 2 };
    const identity = {
      deviceId,
      meshId: MESH_ID,
      mesh: "sim",
      addresses: [GATEWAY_ADDRESS],
      chainPem,
      rootPem: "root",
      ...times,
    };
    const link: Link = new Link({
      transport: network.transport(process),
      clock,
      identity: () => identity,
      keyPem: () => keyPem,
      hello: () => {
        publisher.greeting();
        return {
          v: WIRE_VERSION,
          method: "session.open",
          device: deviceId,
          nonce: new Uint8Array(16),
          outboxEpoch: outbox.epoch,
          software: "sim/1",
          platform: { os: "sim", arch: "sim" },
          ...extras.hello(),
        };
      },
      hooks: extras.hooks,
      recovery: {
        renew: () => Promise.reject(new Error("certificates do not run out here")),
        followRoots: () => Promise.reject(new Error("roots are not rotated here")),
      },
      seen: { judges: () => true, keep: () => {} },
      keepNews: () => Promise.resolve(undefined),
      serve: async (session) => {
        await Promise.all([extras.serve(session), publisher.run(stuttering(session, process, stutter))]);
      },
    });
    const publisher = new OutboxPublisher({
      outbox: sabotage?.(outbox) ?? outbox,
      clock,
      log: new NodeLog((line) => this.options.onLog?.(line)),
      link,
      onThrottle: () => undefined,
      compress: packs ? "auto" : "never",
    });
    this.#publisher = publisher;
    return link;
  }
}

function stuttering(session: OnlineSession, { machine }: Process, probability: number): OnlineSession {
  if (probability === 0) return session;
  const { connection } = session;
  const openStream: Connection["openStream"] = async (options) => {
    const stream = await connection.openStream(options);
    let frames = 0;
    const write: ByteStream["write"] = (bytes) => {
      frames += 1;
      const room = stream.write(bytes);
      // The first frame is the request.
      return frames > 1 && machine.random.chance(probability) ? stream.write(bytes) : room;
    };
    return standIn(stream, { write });
  };
  return { ...session, connection: standIn(connection, { openStream }) };
}

/** Ids that sort as their index does. */
export function deviceIdOf(index: number): string {
  return `01J${String.fromCharCode(65 + index).repeat(23)}`;
}

/** An event's body, unlike any other. */
export function bodyOf(node: number, index: number, bytes: number): Uint8Array {
  return encodeValue(`${String(node)}/${String(index)}/${"x".repeat(bytes)}`);
}
