import { decodeEvents, encodeEvents, eventBytes, type LoggedEvent } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RecentPages } from "../../src/events/recent-pages.ts";
import type { LogFilter } from "../../src/store/port-events.ts";

/** A page of a device's events behind an offset, their kinds as given. */
function pageBehind(after: number, kinds: readonly string[], deviceId = "a", dataBytes = 1) {
  const events = kinds.map((kind, index): LoggedEvent => {
    const offset = after + index + 1;
    const data = new Uint8Array(dataBytes);
    return { offset, device: deviceId, outboxEpoch: new Uint8Array(16), seq: offset, kind, time: 0, received: 0, data };
  });
  return { deviceId, kinds: [...new Set(kinds)], events: encodeEvents(events) };
}

/** The pages of a log that has grown so far; those of `dropped` are not told of. */
function recentOf(pages: readonly { readonly kinds: readonly string[]; readonly device: string }[], dropped?: number) {
  const log = { latest: 0 };
  const recent = new RecentPages(log);
  const events: LoggedEvent[] = [];
  for (const [index, { kinds, device }] of pages.entries()) {
    const page = pageBehind(log.latest, kinds, device);
    events.push(...decodeEvents(eventBytes(page.events)));
    log.latest += kinds.length;
    if (index !== dropped) recent.add(page);
  }
  return { log, recent, events };
}

const pass = ({ kinds = [], devices = [] }: LogFilter, { kind, device }: LoggedEvent): boolean =>
  (devices.length === 0 || devices.includes(device)) &&
  (kinds.length === 0 ||
    kinds.some((named) => named === kind || (named.endsWith("*") && kind.startsWith(named.slice(0, -1)))));

const KIND = fc.constantFrom("x.a", "x.b", "y.a");
const DEVICE = fc.constantFrom("a", "b");
const FILTER: fc.Arbitrary<LogFilter> = fc.record(
  {
    kinds: fc.array(fc.oneof(KIND, fc.constantFrom("x.*", "*")), { maxLength: 2 }),
    devices: fc.array(DEVICE, { maxLength: 2 }),
    labels: fc.constantFrom([], [], ["l"]),
  },
  { requiredKeys: [] },
);

test("what is given is what the log has behind an offset under the same rules, or nothing", () => {
  const pages = fc.array(fc.record({ kinds: fc.array(KIND, { minLength: 1, maxLength: 5 }), device: DEVICE }), {
    minLength: 1,
    maxLength: 6,
  });
  let given = 0;
  fc.assert(
    fc.property(
      pages,
      fc.option(fc.nat(5), { nil: undefined }),
      FILTER,
      fc.option(fc.array(FILTER, { maxLength: 2 }), { nil: undefined }),
      (made, dropped, filter, grants) => {
        const { log, recent, events } = recentOf(made, dropped);
        for (let after = 0; after <= log.latest; after += 1) {
          const page = recent.read({ after, filter, grants, generation: 1 });
          if (page === undefined) continue;
          given += 1;
          expect(page.scannedTo).toBeGreaterThan(after);
          expect(page.latest).toBe(log.latest);
          // Else its reader takes what it has not seen for compacted.
          expect(page.earliest).toBeLessThanOrEqual(after + 1);
          const passing = events
            .filter(({ offset }) => offset > after && offset <= page.scannedTo)
            .filter((event) => pass(filter, event) && grants?.some((grant) => pass(grant, event)) !== false);
          expect(decodeEvents(eventBytes(page.events))).toEqual(passing);
          // Which devices have a label is the store's to know.
          const labelled = [filter, ...(grants ?? [])].every(({ labels = [] }) => labels.length > 0);
          if (labelled) expect(passing).toEqual([]);
        }
      },
    ),
  );
  expect(given).toBeGreaterThan(100);
});

test("a reader is given what it asks for, in pieces that begin anywhere, and what is not here is left to the store", () => {
  const { recent } = recentOf(
    [
      { kinds: ["k", "k", "k"], device: "a" },
      { kinds: ["k", "k"], device: "a" },
      { kinds: ["k"], device: "a" },
    ],
    1,
  );
  const read = (after: number, filter: LogFilter = {}) => recent.read({ after, filter, generation: 1 })?.scannedTo;
  expect([0, 1, 2, 3, 4, 5, 6].map((after) => read(after))).toEqual([3, 3, 3, undefined, undefined, 6, undefined]);
  expect(read(0, { labels: ["l"] })).toBeUndefined();
  expect(read(0, { labels: ["l"], devices: ["b"] })).toBe(3);
});

test("pages are wanted while somebody reads near the live end", () => {
  const log = { latest: 100_000 };
  const recent = new RecentPages(log);
  expect(recent.isWanted).toBe(false);
  recent.read({ after: 50_000, filter: {}, generation: 1 });
  expect(recent.isWanted).toBe(false);
  recent.read({ after: 100_000, filter: {}, generation: 1 });
  expect(recent.isWanted).toBe(true);
  log.latest += 100_000;
  expect(recent.isWanted).toBe(false);
});

test("a page's memory is bounded, and free once it is neither kept nor with a reader", () => {
  const log = { latest: 0 };
  const recent = new RecentPages(log);
  const add = () => {
    const page = pageBehind(
      log.latest,
      Array.from({ length: 1000 }, () => "k"),
      "a",
      1000,
    );
    log.latest += 1000;
    recent.add(page);
    return page.events.bytes.buffer;
  };
  const read = (after: number) => recent.read({ after, filter: {}, generation: 1 });
  const first = add();
  const held = [read(0), read(500)];
  const second = add();
  const more = Array.from({ length: 8 }, add);
  expect(second.detached).toBe(true);
  expect(more.at(-1)?.detached).toBe(false);
  expect(read(0)).toBeUndefined();
  expect(first.detached).toBe(false);
  for (const page of held) {
    expect(first.detached).toBe(false);
    if (page === undefined) throw new Error("there was no page");
    expect(recent.release(page)).toBe(true);
    expect(recent.release(page)).toBe(false);
  }
  expect(first.detached).toBe(true);
});

test("pages that nobody can be given any more go, however small they are", () => {
  const log = { latest: 0 };
  const recent = new RecentPages(log);
  const first = pageBehind(0, ["k"]);
  recent.add(first);
  while (log.latest < 8200) {
    const page = pageBehind((log.latest += 1), ["k"]);
    recent.add(page);
  }
  expect(first.events.bytes.buffer.detached).toBe(true);
});
