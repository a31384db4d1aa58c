/** Pages of the log, read once for all who want the same: at the live end that is nearly everyone, and all at the same moment. */
import { eventCount, firstEvents, lastOffset, MAX_BATCH_EVENTS, MAX_READ_BYTES } from "@quaymesh/protocol";
import type { RecentPages } from "./recent-pages.ts";
import type { EventPage, EventStore, LogFilter } from "../store/port-events.ts";

/** Most events of a page: several batches, as each page is a round trip to the store's thread. */
const MAX_PAGE_EVENTS = 4 * MAX_BATCH_EVENTS;

/** What is read. */
export interface PageWanted {
  readonly after: number;
  readonly filter: LogFilter;
  /** As `ReadEvents.grants`. */
  readonly grants?: readonly LogFilter[] | undefined;
  /** Of what may be seen: a page that was begun under another is not shared. */
  readonly generation: number;
  /** What the reader has room for: a page is at most four times as long. Default: a whole page. */
  readonly most?: number;
}

/** A read under way, and how many wait for it. */
interface UnderWay {
  readonly page: Promise<EventPage>;
  readers: number;
}

/** Shares reads that are under way. Nothing is kept: the next page is read when somebody wants it. */
export class SharedReads {
  readonly #events: Pick<EventStore, "read">;
  readonly #recent: Pick<RecentPages, "read" | "release"> | undefined;
  readonly #underWay = new Map<string, UnderWay>();
  /** How many have a page. */
  readonly #readers = new WeakMap<EventPage, number>();

  /** @param recent what was just committed: looked at first */
  constructor(events: Pick<EventStore, "read">, recent?: Pick<RecentPages, "read" | "release">) {
    this.#events = events;
    this.#recent = recent;
  }

  /** A page of at most {@link MAX_PAGE_EVENTS} and {@link MAX_READ_BYTES}. @throws {GatewayError} as `EventStore.read` */
  read(wanted: PageWanted): Promise<EventPage> {
    const recent = this.#recent?.read(wanted);
    if (recent !== undefined) return Promise.resolve(recent);
    const { after, filter, grants } = wanted;
    const limit = pageEvents(wanted.most ?? MAX_PAGE_EVENTS);
    const key = JSON.stringify([wanted.generation, after, filter, grants, limit]);
    const shared = this.#underWay.get(key);
    if (shared !== undefined) {
      shared.readers += 1;
      return shared.page;
    }
    const limits = { limit, maxBytes: MAX_READ_BYTES };
    const page = this.#events
      .read({ after, filter, ...limits, ...(grants !== undefined && { grants }) })
      .finally(() => this.#underWay.delete(key));
    const underWay: UnderWay = { readers: 1, page: page.then((read) => this.#given(read, underWay)) };
    this.#underWay.set(key, underWay);
    return underWay.page;
  }

  /**
   * A reader is done with a page, and with every view of it: once all of them are, its memory is free at once. V8 counts it as its own, so that left to be collected it has the whole heap searched for it,
   * several times a second during a replay. Whoever says nothing leaves it to that.
   */
  release(page: EventPage): void {
    if (this.#recent?.release(page) === true) return;
    const readers = this.#readers.get(page);
    if (readers === undefined) return;
    if (readers > 1) this.#readers.set(page, readers - 1);
    else {
      this.#readers.delete(page);
      page.events.bytes.buffer.transfer(0);
    }
  }

  #given(page: EventPage, { readers }: UnderWay): EventPage {
    this.#readers.set(page, readers);
    return page;
  }
}

/** In few sizes, so that readers who have about as much room still share. */
function pageEvents(most: number): number {
  let events = 4;
  while (events < most && events < MAX_PAGE_EVENTS) events *= 4;
  return events;
}

/** What of a page fits a reader's credit: so many events, and bytes of data, but for a first event that is larger. */
export function cutPage(page: EventPage, maxEvents: number, maxBytes: number): EventPage {
  const events = firstEvents(page.events, maxEvents, maxBytes);
  if (eventCount(events) === eventCount(page.events)) return page;
  // Nothing behind the last one was looked at, for this reader.
  return { ...page, events, scannedTo: lastOffset(events) ?? page.scannedTo };
}
