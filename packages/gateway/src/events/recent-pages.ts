/**
 * The newest pages of the log, as the store's thread encoded them while it committed them: who reads at the live end, which is nearly everyone, needs no look at the disk. Only a shortcut: what is not
 * here, or does not pass a filter as a whole, is read from the store.
 */
import { eventCount, eventsAfter, lastOffset } from "@quaymesh/protocol";
import { kindFilter } from "../store/kind-filter.ts";
import type { AppendedPage, EventPage, LogFilter } from "../store/port-events.ts";
import type { LogHub } from "./log-hub.ts";
import type { PageWanted } from "./shared-reads.ts";

/** Most of them, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;
/** What a page takes beside its events: two buffers and what points at them. */
const PAGE_BYTES = 1024;
/** Offsets behind the newest event, within which a reader counts as one at the live end. */
const LIVE_OFFSETS = 8192;

/** A page that is kept, and how many readers have a part of it. */
interface Kept {
  readonly page: AppendedPage;
  readonly first: number;
  readonly last: number;
  readers: number;
  dropped: boolean;
}

/** Pages that were just committed. One for a gateway. */
export class RecentPages {
  readonly #log: Pick<LogHub, "latest">;
  /** In the order of their offsets, not always without gaps. */
  readonly #kept: Kept[] = [];
  readonly #given = new WeakMap<EventPage, Kept>();
  #bytes = 0;
  /** The newest offset when somebody last read near the live end. */
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(log: Pick<LogHub, "latest">) {
    this.#log = log;
  }

  /** Whether anybody reads near the live end: for nobody a page need not be made. */
  get isWanted(): boolean {
    return this.#log.latest - this.#readAt <= LIVE_OFFSETS;
  }

  /** What was committed: pages come in the order of their commits. Its memory is this object's from now on. */
  add(page: AppendedPage): void {
    const last = lastOffset(page.events);
    if (last === undefined) return;
    this.#kept.push({ page, first: last - eventCount(page.events) + 1, last, readers: 0, dropped: false });
    this.#bytes += bytesOf(page);
    // Nobody is given what is further behind.
    while (this.#bytes > MAX_BYTES || (this.#kept[0]?.last ?? last) < last - LIVE_OFFSETS) this.#drop();
  }

  /** What there is after an offset, where that is here and the rules of the reader take all of it or nothing. To be {@link RecentPages.release}d. */
  read({ after, filter, grants }: PageWanted): EventPage | undefined {
    const { latest } = this.#log;
    if (latest - after > LIVE_OFFSETS) return undefined;
    if (![filter, ...(grants ?? [])].some(({ labels = [] }) => labels.length > 0)) this.#readAt = latest;
    const kept = this.#kept.findLast(({ first, last }) => first <= after + 1 && after < last);
    if (kept === undefined) return undefined;
    const passing = passes(kept.page, filter, grants);
    if (passing === "some") return undefined;
    const events = eventsAfter(kept.page.events, passing === "all" ? after : kept.last);
    const page: EventPage = { events, scannedTo: kept.last, earliest: after + 1, latest };
    kept.readers += 1;
    this.#given.set(page, kept);
    return page;
  }

  /** A reader is done with what {@link RecentPages.read} gave. @returns whether it was from here */
  release(page: EventPage): boolean {
    const kept = this.#given.get(page);
    if (kept === undefined) return false;
    this.#given.delete(page);
    kept.readers -= 1;
    free(kept);
    return true;
  }

  #drop(): void {
    const kept = this.#kept.shift();
    if (kept === undefined) return;
    this.#bytes -= bytesOf(kept.page);
    kept.dropped = true;
    free(kept);
  }
}

function bytesOf({ events }: AppendedPage): number {
  return events.bytes.length + PAGE_BYTES;
}

/** Give its memory back at once: left to be collected it has V8 search the whole heap. What a reader never releases is left to that. */
function free({ dropped, readers, page }: Kept): void {
  if (dropped && readers === 0) page.events.bytes.buffer.transfer(0);
}

/** Which events of a page may and shall be read. Of labels nothing is known here. */
function passes(
  page: AppendedPage,
  filter: LogFilter,
  grants: readonly LogFilter[] | undefined,
): "all" | "none" | "some" {
  const wanted = passing(page, filter);
  if (wanted === undefined) return "some";
  const allowed = grants?.map((grant) => passing(page, grant));
  if (allowed?.includes(undefined) === true) return "some";
  const kinds = page.kinds.filter((kind) => wanted(kind) && allowed?.some((may) => may?.(kind) === true) !== false);
  if (kinds.length === 0) return "none";
  return kinds.length === page.kinds.length ? "all" : "some";
}

/** @returns undefined where only the store can tell */
function passing(
  { deviceId }: AppendedPage,
  { kinds, devices = [], labels = [] }: LogFilter,
): ((kind: string) => boolean) | undefined {
  if (devices.length > 0 && !devices.includes(deviceId)) return () => false;
  return labels.length > 0 ? undefined : kindFilter(kinds);
}
