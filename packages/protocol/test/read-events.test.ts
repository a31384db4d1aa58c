/** The readers of frequent messages against the general parser, which alone decides what may be read. */
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCbor } from "@quaymesh/protocol";
import { eventBatch, loggedEvents } from "../src/messages/events.ts";
import { messageParser } from "../src/messages/parse.ts";
import { readBatchMessage, readEventsMessage } from "../src/messages/read-events.ts";

const parse = messageParser({ batch: eventBatch, events: loggedEvents });

/** What the general parser makes of a body; `undefined` where it refuses. */
function general(body: Uint8Array): unknown {
  try {
    return parse(body);
  } catch {
    return undefined;
  }
}

const DEVICES = [
  "01JD0000000000000000000000",
  "01JD0000000000000000000001",
  "01jd0000000000000000000000",
  "01JD\u00e9",
];
const EPOCHS = [new Uint8Array(16), new Uint8Array(16).fill(7), new Uint8Array(15)];
const number = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, 1.5),
);
const kind = fc.oneof(
  fc.constantFrom("a", "task.log", "\u00e4\u00f6", "k".repeat(128), "k".repeat(129), "\u20ac".repeat(128), ""),
  fc.string({ maxLength: 30, unit: "grapheme" }),
);
const data = fc.uint8Array({ maxLength: 40 });
const published = fc.record({ kind, time: number, data });
const logged = fc.record({
  offset: number,
  device: fc.constantFrom(...DEVICES),
  outboxEpoch: fc.constantFrom(...EPOCHS),
  seq: number,
  kind,
  time: number,
  received: number,
  data,
});
const few = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 4 });

const message = fc.oneof(
  fc.record({ type: fc.constant("batch"), first: number, events: few(published) }),
  fc.record({ type: fc.constant("events"), events: few(logged) }),
);
/** A byte that is another one, or is not there. */
const harm = fc.record({ at: fc.nat(), byte: fc.option(fc.nat(255)) });

function harmed(body: Uint8Array, harms: readonly { readonly at: number; readonly byte: number | null }[]): Uint8Array {
  let bytes = body;
  for (const { at, byte } of harms) {
    const index = at % bytes.length;
    bytes = Uint8Array.of(...bytes.subarray(0, index), ...(byte === null ? [] : [byte]), ...bytes.subarray(index + 1));
  }
  return bytes;
}

describe("readers of frequent messages", () => {
  it("read only what the general parser reads, and the same", () => {
    fc.assert(
      fc.property(message, fc.array(harm, { maxLength: 2 }), (value, harms) => {
        const body = encodeCbor(value);
        const bytes = harmed(body, harms);
        const read = readBatchMessage(bytes) ?? readEventsMessage(bytes);
        if (read !== undefined) expect(isDeepStrictEqual(read, general(bytes))).toBe(true);
        else if (harms.length === 0) expect(general(bytes)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    { events: 256, bytes: 1, is: true },
    { events: 257, bytes: 1, is: false },
    { events: 1, bytes: 65_536, is: true },
    { events: 1, bytes: 65_537, is: false },
    { events: 0, bytes: 1, is: false },
  ])("read $events events of $bytes bytes: $is", ({ events, bytes, is }) => {
    const all = Array.from({ length: events }, () => ({ kind: "k", time: 1, data: new Uint8Array(bytes) }));
    const body = encodeCbor({ type: "batch", first: 1, events: all });
    expect(readBatchMessage(body) !== undefined).toBe(is);
    expect(general(body) !== undefined).toBe(is);
  });

  it("give views that are no Buffers, also where the bytes came in one", () => {
    const body = Buffer.from(
      encodeCbor({ type: "batch", first: 1, events: [{ kind: "k", time: 1, data: Uint8Array.of(1) }] }),
    );
    expect(readBatchMessage(body)?.events[0]?.data.constructor).toBe(Uint8Array);
  });

  it("leave fields in another order, and fields they do not know, to the general parser", () => {
    const event = { data: Uint8Array.of(1), kind: "k", time: 1 };
    const body = encodeCbor({ type: "batch", first: 1, events: [event] });
    expect(readBatchMessage(body)).toBeUndefined();
    expect(general(body)).toEqual({ type: "batch", first: 1, events: [event] });
    const more = encodeCbor({
      type: "batch",
      first: 1,
      events: [{ kind: "k", time: 1, data: Uint8Array.of(1), more: 1 }],
    });
    expect(readBatchMessage(more)).toBeUndefined();
  });
});
