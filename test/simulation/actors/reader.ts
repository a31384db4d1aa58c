import { subscribe } from "../../../packages/node/src/events/subscribe.ts";
import { GatewayError, type GatewayCore } from "@quaymesh/gateway";
import { eventRows } from "../../../packages/gateway/src/store/event-rows.ts";
import type { Process } from "../process.ts";
import type { NodeParts } from "./node.ts";

/** An event as a reader got it. */
export interface ReadEvent {
  readonly offset: number;
  readonly device: string;
  readonly seq: number;
  readonly kind: string;
  readonly data: Uint8Array;
}

/** What {@link SimReader} takes. */
export interface SimReaderOptions {
  readonly kinds?: readonly string[];
  readonly devices?: readonly string[];
  /** Under this name the gateway keeps the cursor. */
  readonly durable?: string;
  /** It begins to read, from its cursor. */
  readonly onBegin?: () => void;
  /** How long it takes over an event, at most. */
  readonly slowMs: number;
  /** What it makes of the event and its new cursor are written in one transaction. */
  readonly onRead: (event: ReadEvent) => void;
  readonly onError: (what: string, cause: unknown) => void;
  /** It is done with everything up to here, and tells whoever keeps the log for it. */
  readonly onCursor?: (offset: number) => void;
  /** Save the cursor first and act on the event later: wrong. */
  readonly cursorFirst?: boolean;
}

const LOG = "simulated-log";

/** An application that reads the log and keeps its cursor with what it makes of the events. It may die at any time and goes on where its cursor is. */
export class SimReader {
  readonly #options: SimReaderOptions;
  #cursor = 0;
  #run: { readonly abort: AbortController; dead: boolean } | undefined;
  #resume: (() => void) | undefined;

  constructor(options: SimReaderOptions) {
    this.#options = options;
  }

  /** The last offset it is done with. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Read over a node's sessions, for as long as its process lives. */
  readOn({ process, link }: NodeParts): void {
    const filter = {
      ...(this.#options.kinds !== undefined && { kinds: [...this.#options.kinds] }),
      ...(this.#options.devices !== undefined && { devices: [...this.#options.devices] }),
    };
    const { durable } = this.#options;
    this.#begin(process, async function* (after, signal) {
      const cursor = { log: LOG, offset: after };
      const from = durable === undefined ? after > 0 && { after: cursor } : { durable };
      for await (const event of subscribe(link, { ...from, filter, signal })) {
        const { device, seq, kind, body } = event;
        yield { offset: event.cursor.offset, device, seq, kind, data: body };
      }
    });
  }

  /** Read as an operator, for as long as the gateway's process lives. */
  readAt(core: GatewayCore, process: Process): void {
    const { kinds = [], devices = [], durable } = this.#options;
    const filter = { kinds, devices };
    if (durable !== undefined) {
      return this.#begin(process, (_after, signal) => consume(core, process, { name: durable, filter, signal }));
    }
    this.#begin(process, async function* (after, signal) {
      for await (const row of core.events.subscribe({ after, logId: LOG, filter, signal })) {
        yield { offset: row.offset, device: row.deviceId, seq: row.seq, kind: row.kind, data: row.data };
      }
    });
  }

  /** The application dies; {@link SimReader.restart} starts it again. */
  crash(): void {
    if (this.#run === undefined) return;
    this.#run.dead = true;
    this.#run.abort.abort();
    this.#run = undefined;
  }

  restart(): void {
    if (this.#run === undefined) this.#resume?.();
  }

  #begin(
    process: Process,
    open: (after: number, signal: AbortSignal) => AsyncGenerator<ReadEvent, void, undefined>,
  ): void {
    this.crash();
    this.#resume = () => {
      if (!process.alive) return;
      const run = { abort: new AbortController(), dead: false };
      this.#run = run;
      this.#options.onBegin?.();
      this.#read(process, open(this.#cursor, run.abort.signal), run).catch((cause: unknown) => {
        if (!run.dead && process.alive && !isEnd(cause)) this.#options.onError("a reader failed", cause);
      });
    };
    this.#resume();
  }

  async #read(process: Process, events: AsyncIterable<ReadEvent>, run: { dead: boolean }): Promise<void> {
    const { onRead, onCursor, cursorFirst, slowMs } = this.#options;
    for await (const event of events) {
      if (run.dead) return;
      if (cursorFirst === true) this.#cursor = event.offset;
      // What it makes of the event takes a moment.
      await process.later(process.machine.random.next() * slowMs, () => undefined);
      if (run.dead) return;
      onRead(event);
      this.#cursor = event.offset;
      onCursor?.(event.offset);
    }
  }
}

interface Consuming {
  readonly name: string;
  readonly filter: { readonly kinds: readonly string[]; readonly devices: readonly string[] };
  readonly signal: AbortSignal;
}

/** As the operator's client reads a durable subscription: acknowledged when the next event is asked for. A store that is full is asked again. */
async function* consume(
  core: GatewayCore,
  process: Process,
  options: Consuming,
): AsyncGenerator<ReadEvent, void, undefined> {
  for (let seen = 0; ;) {
    let epoch = 0;
    try {
      for await (const batch of core.events.consume({ ...options, createdBy: "sim", ...(seen > 0 && { seen }) })) {
        epoch = batch.opened?.epoch ?? epoch;
        for (const { offset, deviceId, seq, kind, data } of eventRows(batch)) {
          yield { offset, device: deviceId, seq, kind, data };
          seen = offset;
          await core.events.acknowledge({ name: options.name, epoch, offset });
        }
      }
    } catch (cause) {
      if (!(cause instanceof GatewayError) || cause.code !== "STORE_FULL") throw cause;
      await process.later(50, () => undefined);
    }
  }
}

/** The gateway stops: whoever reads comes back when it does. */
function isEnd(cause: unknown): boolean {
  return cause instanceof GatewayError && cause.code === "GATEWAY_DRAINING";
}
