import { decodeEvents, encodeEvents, eventBytes } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { LogHub } from "../../src/events/log-hub.ts";
import { readPages } from "../../src/events/pages.ts";
import { SharedReads } from "../../src/events/shared-reads.ts";
import { TurnShare } from "../../src/events/turn-share.ts";
import type { EventPage, ReadEvents } from "../../src/store/port-events.ts";
import { event } from "../api/fake-services.ts";
import { testGateway } from "../support/gateway.ts";

const LATEST = 30;
const PAGE_EVENTS = 10;

test("the next page is on its way while one is sent; a page that is let go is free at once, the others stay", async () => {
  await using gateway = await testGateway();
  const reads: number[] = [];
  const read = async ({ after }: ReadEvents): Promise<EventPage> => {
    reads.push(after);
    const events = Array.from({ length: PAGE_EVENTS }, (_, index) => event(after + index + 1));
    return { events: encodeEvents(events), scannedTo: after + PAGE_EVENTS, earliest: 1, latest: LATEST };
  };
  const parts = {
    store: gateway.store,
    log: new LogHub(LATEST),
    pages: new SharedReads({ read }),
    access: { generation: 1 },
    share: new TurnShare(),
  };
  const leaving = new AbortController();
  const pages = readPages(parts, { after: 0, filter: {}, signal: leaving.signal });
  const { value: first } = await pages.next();
  expect(reads).toEqual([0, 10]);
  const { value: second } = await pages.next();
  // To the end of the log, and no further.
  expect(reads).toEqual([0, 10, 20]);
  const { value: third } = await pages.next();
  expect(reads).toEqual([0, 10, 20]);
  if (first === undefined || second === undefined || third === undefined) throw new Error("there is no page");
  // Whoever waits for the end of the log is told at the end, not with each page.
  expect([first, second, third].map(({ caughtUp }) => caughtUp)).toEqual([0, 0, LATEST]);
  second.release?.();
  expect(second.events.bytes.buffer.detached).toBe(true);
  const kept = [first, third].map(({ events }) => decodeEvents(eventBytes(events)).map(({ offset }) => offset));
  expect(kept.map((offsets) => offsets[0])).toEqual([1, 21]);
  leaving.abort();
  await expect(pages.next()).rejects.toThrow();
});
