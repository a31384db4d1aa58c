/** The pages of one reader: what its credit left of the last one, and the next one, on its way while this one is sent. */
import { eventCount, eventsBehind } from "@quaymesh/protocol";
import type { EventPage } from "../store/port-events.ts";
import { cutPage, type PageWanted, type SharedReads } from "./shared-reads.ts";

/** What the reader may be sent now, and what it may be sent altogether. */
export interface Room {
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly creditEvents: number;
}

/** A page for whoever goes on at its place, under the same rules. */
interface Held {
  readonly after: number;
  readonly generation: number;
  readonly page: Promise<EventPage>;
  /** The page that it is the rest of. */
  readonly whole?: EventPage;
}

/** Reads of one filter, one at a time. */
export class ReadAhead {
  readonly #pages: Pick<SharedReads, "read" | "release">;
  #held: readonly Held[] = [];
  /** What was given last is of this page. */
  #current: EventPage | undefined;

  constructor(pages: Pick<SharedReads, "read" | "release">) {
    this.#pages = pages;
  }

  /**
   * What there is after an offset, as far as there is room for it; what was given before is not used any more. A page that was read before is used only by who wants it under the generation it was read under.
   * @throws {GatewayError} as `EventStore.read`
   */
  async read(wanted: PageWanted, { maxEvents, maxBytes, creditEvents }: Room): Promise<EventPage> {
    const { after, generation } = wanted;
    const usable = this.#held.filter((held) => held.generation === generation && held.after >= after);
    this.#held = usable.filter((held) => held.after > after);
    const held = usable.find((one) => one.after === after);
    const page = await (held?.page ?? this.#pages.read({ ...wanted, most: creditEvents }));
    const whole = held?.whole ?? page;
    const cut = cutPage(page, maxEvents, maxBytes);
    const events = eventsBehind(page.events, cut.events);
    const rest = { after: cut.scannedTo, generation, page: Promise.resolve({ ...page, events }), whole };
    const behind = this.#held.filter((held) => held.after === page.scannedTo);
    // Nothing is read ahead that the reader has no credit for.
    const goesOn = behind.length === 0 && page.scannedTo < page.latest && creditEvents > eventCount(page.events);
    this.#held = [
      ...(eventCount(events) > 0 ? [rest] : []),
      ...(goesOn
        ? [this.#begin({ ...wanted, after: page.scannedTo, most: creditEvents - eventCount(page.events) })]
        : behind),
    ];
    this.#moveTo(whole);
    return cut;
  }

  #moveTo(whole: EventPage): void {
    const last = this.#current;
    this.#current = whole;
    if (last === undefined || last === whole || this.#held.some((held) => held.whole === last)) return;
    this.#pages.release(last);
  }

  /** Keep nothing. */
  drop(): void {
    this.#held = [];
  }

  #begin(wanted: PageWanted): Held {
    const page = this.#pages.read(wanted);
    // Told to who comes for it, if somebody does.
    page.catch(() => undefined);
    return { after: wanted.after, generation: wanted.generation, page };
  }
}
