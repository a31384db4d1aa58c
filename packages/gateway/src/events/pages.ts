/** Pages of the log, for operators: replay and live are one path. */
import { dataBytes, eventCount } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { ReadAccess } from "../policy/read-access.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { Store } from "../store/port.ts";
import type { LogHub } from "./log-hub.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { SharedReads } from "./shared-reads.ts";
import type { LogBatch } from "./service.ts";
import { workWeight, type TurnShare } from "./turn-share.ts";

/** Most kinds, devices or labels one filter names. */
const MAX_FILTER_ITEMS = 64;

/** Whose share it is. */
const OPERATORS = "operator";

/** What pages are read with. */
export interface PageParts {
  readonly store: Store;
  readonly log: LogHub;
  readonly pages: SharedReads;
  readonly access: Pick<ReadAccess, "generation">;
  /** Operators have one share of each turn together. */
  readonly share: TurnShare;
}

/** What {@link readPages} takes. */
export interface PageOptions {
  readonly after: number;
  readonly filter: LogFilter;
  readonly signal: AbortSignal;
}

/** As much as there is: what is read goes out whole. */
const ROOM = { maxEvents: Infinity, maxBytes: Infinity, creditEvents: Infinity };

/** Pages after an offset, without end. The next one is read while the last one is sent. @throws {GatewayError} `RESUME_COMPACTED`; `signal.reason` */
export async function* readPages(
  { store, log, pages, access, share }: PageParts,
  { after: start, filter, signal }: PageOptions,
): AsyncGenerator<LogBatch, void, undefined> {
  const { logId } = store.meta;
  // Whoever was given a page says when it is done with.
  const ahead = new ReadAhead({ read: (wanted) => pages.read(wanted), release: () => undefined });
  let after = start;
  let announced = -1;
  for (;;) {
    signal.throwIfAborted();
    const page = await ahead.read({ after, filter, generation: access.generation }, ROOM);
    signal.throwIfAborted();
    if (after > 0 && after + 1 < page.earliest) throw compacted(page.earliest);
    after = Math.max(page.scannedTo, page.earliest - 1);
    const caughtUp = after >= page.latest;
    const { events } = page;
    await share.take(OPERATORS, workWeight(eventCount(events), dataBytes(events)));
    signal.throwIfAborted();
    if (eventCount(events) > 0 || (caughtUp && announced !== after)) {
      announced = after;
      yield { logId, events, caughtUp: caughtUp ? after : 0, release: () => pages.release(page) };
    } else pages.release(page);
    if (caughtUp) await log.grownBeyond(after, signal);
  }
}

/** @throws {GatewayError} `FILTER_INVALID` */
export function parseFilter(filter: LogFilter): LogFilter {
  const { kinds = [], devices = [], labels = [] } = filter;
  if ([kinds, devices, labels].some((items) => items.length > MAX_FILTER_ITEMS)) {
    throw new GatewayError("FILTER_INVALID", `a filter names at most ${MAX_FILTER_ITEMS} kinds, devices and labels`);
  }
  const star = kinds.find((kind) => kind === "" || kind.slice(0, -1).includes("*"));
  if (star !== undefined) throw new GatewayError("FILTER_INVALID", `a kind may end in *, not contain it: ${star}`);
  return { kinds, devices, labels };
}

/** A cursor means nothing in another log. @throws {GatewayError} `LOG_CHANGED` */
export function assertSameLog({ meta }: Pick<Store, "meta">, logId: string | undefined): void {
  if (logId === undefined || logId === "" || logId === meta.logId) return;
  throw new GatewayError("LOG_CHANGED", "the cursor belongs to another log", { metadata: { logId: meta.logId } });
}

/** Events after a cursor are gone. */
export function compacted(earliest: number): GatewayError {
  return new GatewayError("RESUME_COMPACTED", `the log begins at ${earliest}`, {
    metadata: { earliest: String(earliest) },
  });
}
