import { Violation } from "../violation.ts";

/**
 * What became of an event that an application asked a node to record.
 * `promised`: `publish` resolved, durably. `open`: nobody knows, for its process died first, or it was only buffered: it is in the log once or not at all.
 * `refused`: `publish` rejected: it is not in the log.
 */
type Fate =
  | { readonly kind: "pending" }
  | { readonly kind: "promised"; readonly seq: number }
  | { readonly kind: "open" }
  | { readonly kind: "refused"; readonly why: string };

interface Asked {
  readonly device: string;
  /** In the order in which the device was asked. */
  readonly index: number;
  readonly buffered: boolean;
  fate: Fate;
  /** Where in the log it is. */
  offset: number | undefined;
}

/** All events anybody asked for, and where they must and may be. */
export class Recorded {
  readonly #byBody = new Map<string, Asked>();
  readonly #byDevice = new Map<string, Asked[]>();
  readonly #lastLogged = new Map<string, number>();
  readonly #released = new Set<string>();
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
    const asked: Asked = { device, index: all.length, buffered, fate: { kind: "pending" }, offset: undefined };
    all.push(asked);
    this.#byBody.set(keyOf(body), asked);
    return asked;
  }

  /** `publish` resolved. */
  resolved(asked: Asked, seq: number): void {
    if (asked.fate.kind !== "pending") return;
    if (asked.buffered || this.#released.has(asked.device)) {
      asked.fate = { kind: "open" };
      return;
    }
    asked.fate = { kind: "promised", seq };
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

  /** The last sequence that `device` was promised, since its outbox began. */
  lastPromised(device: string): number {
    const all = this.#byDevice.get(device) ?? [];
    let last = 0;
    for (const { fate } of all) if (fate.kind === "promised") last = Math.max(last, fate.seq);
    return last;
  }

  /** It is in the log from now on. */
  logged(row: {
    readonly kind: string;
    readonly deviceId: string;
    readonly seq: number;
    readonly offset: number;
    readonly data: Uint8Array;
  }): void {
    const asked = this.#byBody.get(keyOf(row.data));
    // What a node says of its tasks is recorded by the node itself.
    if (asked === undefined && row.kind.startsWith("task.")) return;
    if (asked === undefined || asked.device !== row.deviceId) {
      throw new Violation("nothing-invented", `nobody recorded what is at ${String(row.offset)}`);
    }
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
    if (asked.fate.seq !== row.seq) {
      throw new Violation("sequence-kept", `${nameOf(asked)} was ${String(asked.fate.seq)}, is ${String(row.seq)}`);
    }
  }
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
