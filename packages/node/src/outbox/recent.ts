import type { OutboxEvent } from "./record.ts";

/** An event that is on disk, and still in memory. */
export interface RecentEvent {
  readonly event: OutboxEvent;
  /** Where in its segment its record starts, and how long that is. */
  readonly at: number;
  readonly bytes: number;
}

/** The newest events of an outbox as they were recorded, up to so many bytes of their records: who sends them at once need not read them back from disk. */
export class RecentEvents {
  readonly #maxBytes: number;
  #events: RecentEvent[] = [];
  /** How many in front are dropped already: they are cut off now and then, not one by one. */
  #dropped = 0;
  /** The sequence of the first that is kept. */
  #first = 1;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the records whose events are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Events that are on disk from now on, as `first` and what follows. */
  add(first: number, events: readonly RecentEvent[]): void {
    if (first !== this.#first + this.#count) this.#restart(first);
    for (const recent of events) {
      this.#events.push(recent);
      this.#bytes += recent.bytes;
    }
    while (this.#bytes > this.#maxBytes) this.#dropFirst();
    this.#cut();
  }

  /** The event of a sequence, where it is still here. */
  get(seq: number): RecentEvent | undefined {
    return seq < this.#first ? undefined : this.#events[this.#dropped + seq - this.#first];
  }

  /** Nobody asks for these any more. */
  dropThrough(seq: number): void {
    while (this.#first <= seq && this.#count > 0) this.#dropFirst();
    this.#cut();
  }

  get #count(): number {
    return this.#events.length - this.#dropped;
  }

  #dropFirst(): void {
    this.#bytes -= this.#events[this.#dropped]?.bytes ?? 0;
    this.#dropped += 1;
    this.#first += 1;
  }

  #cut(): void {
    if (this.#dropped < this.#count) return;
    this.#events.splice(0, this.#dropped);
    this.#dropped = 0;
  }

  #restart(first: number): void {
    this.#events = [];
    this.#dropped = 0;
    this.#first = first;
    this.#bytes = 0;
  }
}
