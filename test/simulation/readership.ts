import type { GatewayCore } from "@quaymesh/gateway";
import { deviceIdOf, type NodeParts } from "./actors/node.ts";
import { SimReader, type ReadEvent } from "./actors/reader.ts";
import type { Holds } from "./holds.ts";
import { ModelReader, type ModelLog, type View } from "./model/log.ts";
import type { Plan, ReaderPlan } from "./plan.ts";
import type { Process } from "./process.ts";

/** How long a reader takes over an event, at most. */
const QUICK_MS = 2;
const READER_LABEL = "events-reader";

/** What {@link Readership} takes. */
export interface ReadershipOptions {
  readonly plan: Plan;
  readonly log: ModelLog;
  /** Where retention is at work: who needs the log, and from where. */
  readonly holds: Holds | undefined;
  /** Readers save their cursors before they have acted. */
  readonly cursorFirst: boolean;
  /** Run a check of the model. */
  readonly guard: (check: () => void) => void;
  readonly onError: (what: string, cause: unknown) => void;
}

/** The readers of a plan, each with what it has to get. */
export class Readership {
  readonly readers: readonly SimReader[];
  readonly #models: readonly ModelReader[];
  readonly #options: ReadershipOptions;
  #read = 0;

  constructor(options: ReadershipOptions) {
    this.#options = options;
    const { plan, log } = options;
    this.#models = plan.readers.map(
      (reader, index) => new ModelReader(log, nameOf(index), viewOf(reader), reader.durable),
    );
    this.readers = plan.readers.map((reader, index) => this.#reader(reader, index));
  }

  /** Events they were given. */
  get readCount(): number {
    return this.#read;
  }

  /** A node has started: whoever reads on it begins. */
  readOn(node: number, parts: NodeParts): void {
    this.#at(node, (reader) => reader.readOn(parts));
  }

  /** The gateway has. */
  readAt(core: GatewayCore, process: Process): void {
    this.#at("operator", (reader) => reader.readAt(core, process));
  }

  /** Whether each has everything it has to get, but for those on nodes that are cut off. */
  isDone(isCutOff: (node: number) => boolean): boolean {
    return this.#models.every(({ isDone }, index) => {
      const at = this.#options.plan.readers[index]?.at;
      return isDone || (typeof at === "number" && isCutOff(at));
    });
  }

  /** Where each is, for people. */
  describe(): readonly string[] {
    return this.#models.map(({ last }, index) => `${nameOf(index)} at ${String(last)}`);
  }

  #at(place: ReaderPlan["at"], begin: (reader: SimReader) => void): void {
    for (const [index, { at }] of this.#options.plan.readers.entries()) {
      const reader = this.readers[index];
      if (at === place && reader !== undefined) begin(reader);
    }
  }

  #reader({ kinds, devices, slowMs = QUICK_MS, durable = false }: ReaderPlan, index: number): SimReader {
    const { holds, cursorFirst, guard, onError } = this.#options;
    const name = nameOf(index);
    holds?.open(name);
    return new SimReader({
      ...(kinds !== undefined && { kinds }),
      ...(devices !== undefined && { devices: devices.map(deviceIdOf) }),
      slowMs,
      cursorFirst,
      ...(durable && { durable: `reader-${String(index)}` }),
      onBegin: () => this.#models[index]?.begins(),
      onRead: (event: ReadEvent) => {
        this.#read += 1;
        guard(() => this.#models[index]?.got(event));
      },
      onCursor: (offset) => holds?.release(name, offset),
      onError,
    });
  }
}

/** The labels of a node: every second one may read what others recorded. */
export function labelsOf(node: number): readonly string[] {
  return node % 2 === 0 ? [READER_LABEL] : [];
}

function nameOf(index: number): string {
  return `reader ${String(index)}`;
}

function viewOf({ at, kinds = [], devices = [] }: ReaderPlan): View {
  const asked = devices.map(deviceIdOf);
  if (at === "operator" || labelsOf(at).includes(READER_LABEL)) return { kinds, devices: asked };
  const own = deviceIdOf(at);
  return { kinds, devices: asked.length === 0 || asked.includes(own) ? [own] : ["nobody"] };
}
