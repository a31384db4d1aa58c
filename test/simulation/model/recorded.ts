import { Violation } from "../violation.ts";

/**
 * What became of an event that an application asked a node to record.
 * `promised`: `publish` resolved, durably. `open`: nobody knows, for its process died first, or it was only buffered: it is in the log once or not at all.
 * `refused`: `publish` rejected: it is not in the log.
 */
type Fate =
  | { readonly kind: "pending" }
  | { readonly kind: "promised"; readonly seq: number; readonly epoch: Uint8Array }
  | { readonly kind: "open" }
  | { readonly kind: "refused"; readonly why: string };

interface Asked {
  readonly device: string;
  /** In the order in which the device was asked. */
  readonly index: number;
  readonly buffered: boolean;
  fate: Fate;
  /** Where in the log it is, first. */
  offset: number | undefined;
  /** So often it may be there again: an older copy of the outbox had it, and nobody had told that one of an acknowledgement. */
  repeats: number;
}

/** What an outbox knew when its disk was copied. */
export interface Image {
  readonly durable: number;
  readonly epoch: Uint8Array;
}

/** All events anybody asked for, and where they must and may be. */
export class Recorded {
  readonly #byBody = new Map<string, Asked>();
  readonly #byDevice = new Map<string, Asked[]>();
  readonly #lastLogged = new Map<string, number>();
  readonly #released = new Set<string>();
  readonly #images = new Map<string, Image>();
  /** Devices whose disk was put back, and whether their node has said since that its outbox has another numbering. */
  readonly #putBack = new Map<string, { told: boolean; mustTell: boolean }>();
  #promised = 0;
  #missing = 0;

  /** How many were promised. */
  get promised(): number {
    return this.#promised;
  }

  /** How many were promised and are not in the log yet. */
  get missing(): number {
    return this.#missing;
  }

  /** The application asks `device` to record an event with this body, which no other has. @returns its handle */
  asked(device: string, body: Uint8Array, buffered: boolean): Asked {
    const all = this.#byDevice.get(device) ?? [];
    this.#byDevice.set(device, all);
    const asked: Asked = {
      device,
      index: all.length,
      buffered,
      fate: { kind: "pending" },
      offset: undefined,
      repeats: 0,
    };
    all.push(asked);
    this.#byBody.set(keyOf(body), asked);
    return asked;
  }

  /** `publish` resolved. */
  resolved(asked: Asked, seq: number, epoch: Uint8Array): void {
    if (asked.fate.kind !== "pending") return;
    if (asked.buffered || this.#released.has(asked.device)) {
      asked.fate = { kind: "open" };
      return;
    }
    asked.fate = { kind: "promised", seq, epoch };
    this.#promised += 1;
    if (asked.offset === undefined) this.#missing += 1;
  }

  /** `publish` rejected. */
  rejected(asked: Asked, why: string): void {
    if (asked.fate.kind !== "pending") return;
    if (asked.offset !== undefined) throw refusedAndLogged(asked, why);
    asked.fate = { kind: "refused", why };
  }

  /** The device's process died. With the power, what a failed write had left on the disk may be there again. */
  crashed(device: string, how: "kill" | "power-cut"): void {
    const all = this.#byDevice.get(device) ?? [];
    for (const asked of all) {
      if (asked.fate.kind === "pending") asked.fate = { kind: "open" };
      else if (asked.fate.kind === "refused" && how === "power-cut") asked.fate = { kind: "open" };
    }
  }

  /** Nobody promises anything for `device` any more: it is cut off. What it had promised is in the log or not. */
  released(device: string): void {
    this.#released.add(device);
    for (const asked of this.#byDevice.get(device) ?? []) {
      if (asked.fate.kind === "promised" && asked.offset === undefined) this.#missing -= 1;
      asked.fate = { kind: "open" };
    }
  }

  /** Its disk is copied. */
  imaged(device: string, image: Image): void {
    this.#images.set(device, image);
  }

  /**
   * Its disk was put back to the image: what was recorded since is there no more, and is in the log or not. What was there already may come once more, and the node has to say so.
   * @param committedOf what the gateway has of a numbering
   */
  putBack(device: string, committedOf: (epoch: Uint8Array) => number): void {
    const image = this.#images.get(device);
    if (image === undefined) return;
    this.#putBack.set(device, { told: false, mustTell: committedOf(image.epoch) > image.durable });
    for (const asked of this.#byDevice.get(device) ?? []) {
      const { fate } = asked;
      // What is acknowledged is written down some time after, or never where the disk is full: an image need not know of it.
      asked.repeats += 1;
      if (fate.kind !== "promised" || fate.seq <= image.durable) continue;
      if (asked.offset === undefined) this.#missing -= 1;
      asked.fate = { kind: "open" };
    }
  }

  /** Whether that ever happened. */
  wasPutBack(device: string): boolean {
    return this.#putBack.has(device);
  }

  /** A node says that its outbox has a new numbering. */
  renumbered(device: string, message: string): void {
    const state = this.#putBack.get(device);
    if (state === undefined)
      throw new Violation("no-surprises", `${device}, whose disk was never put back: ${message}`);
    state.told = true;
  }

  /** Whether every node that must have noticed that its disk is an old one has said so. */
  get isTold(): boolean {
    return [...this.#putBack.values()].every(({ told, mustTell }) => told || !mustTell);
  }

  /** The last sequence that `device` was promised in this numbering. */
  lastPromised(device: string, epoch: Uint8Array): number {
    let last = 0;
    for (const { fate } of this.#byDevice.get(device) ?? []) {
      if (fate.kind === "promised" && isSame(fate.epoch, epoch)) last = Math.max(last, fate.seq);
    }
    return last;
  }

  /** A node whose disk was put back has let go of everything up to `acked`: all of it is in the log. */
  checkLetGo(device: string, epoch: Uint8Array, acked: number): void {
    if (!this.#putBack.has(device)) return;
    for (const asked of this.#byDevice.get(device) ?? []) {
      const { fate, offset } = asked;
      if (offset !== undefined || fate.kind !== "promised" || fate.seq > acked || !isSame(fate.epoch, epoch)) continue;
      throw new Violation("let-go-is-logged", `${nameOf(asked)} was taken for acknowledged, and is not in the log`);
    }
  }

  /** It is in the log from now on. */
  logged(row: {
    readonly kind: string;
    readonly deviceId: string;
    readonly seq: number;
    readonly outboxEpoch: Uint8Array;
    readonly offset: number;
    readonly data: Uint8Array;
  }): void {
    const asked = this.#byBody.get(keyOf(row.data));
    // What a node says of its tasks is recorded by the node itself.
    if (asked === undefined && row.kind.startsWith("task.")) return;
    if (asked === undefined || asked.device !== row.deviceId) {
      throw new Violation("nothing-invented", `nobody recorded what is at ${String(row.offset)}`);
    }
    if (asked.offset !== undefined && asked.repeats > 0) return this.#repeated(asked);
    if (asked.offset !== undefined) {
      throw new Violation(
        "exactly-once",
        `${nameOf(asked)} is at ${String(asked.offset)} and at ${String(row.offset)}`,
      );
    }
    asked.offset = row.offset;
    const before = this.#lastLogged.get(asked.device) ?? -1;
    if (asked.index < before) throw new Violation("order-per-node", `${nameOf(asked)} came after #${String(before)}`);
    this.#lastLogged.set(asked.device, asked.index);
    if (asked.fate.kind === "refused") throw refusedAndLogged(asked, asked.fate.why);
    if (asked.fate.kind !== "promised") return;
    this.#missing -= 1;
    if (asked.fate.seq !== row.seq && isSame(asked.fate.epoch, row.outboxEpoch)) {
      throw new Violation("sequence-kept", `${nameOf(asked)} was ${String(asked.fate.seq)}, is ${String(row.seq)}`);
    }
  }

  #repeated(asked: Asked): void {
    asked.repeats -= 1;
    if (this.#putBack.get(asked.device)?.told === true) return;
    throw new Violation("twice-is-told", `${nameOf(asked)} is in the log again, and its node has not said a word`);
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function refusedAndLogged(asked: Asked, why: string): Violation {
  return new Violation("refused-is-not-recorded", `${nameOf(asked)} was refused (${why}) and is in the log`);
}

function nameOf({ device, index }: Asked): string {
  return `event #${String(index)} of ${device}`;
}

function keyOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1");
}
