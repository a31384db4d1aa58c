import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService, SubscribeResponseSchema, type SubscribeResponse } from "@quaymesh/api";
import { encodeEvents, eventBytes } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { connect } from "node:net";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Appending, withAppended } from "../../src/api/appended-bytes.ts";
import type { LogBatch } from "../../src/events/service.ts";
import { silentLogger } from "../../src/logger.ts";
import { event, serveFakes, unaskedEvents } from "./fake-services.ts";

const ENVELOPE_HEAD_BYTES = 5;
const FIELD = SubscribeResponseSchema.field.encodedEvents;

/** As Connect does. */
function enveloped(message: SubscribeResponse): Uint8Array {
  const body = toBinary(SubscribeResponseSchema, message);
  const envelope = new Uint8Array(ENVELOPE_HEAD_BYTES + body.length);
  new DataView(envelope.buffer).setUint32(1, body.length);
  envelope.set(body, ENVELOPE_HEAD_BYTES);
  return envelope;
}

/** The messages in a stream of envelopes. */
function opened(stream: Uint8Array): readonly SubscribeResponse[] {
  const messages: SubscribeResponse[] = [];
  const view = new DataView(stream.buffer, stream.byteOffset);
  for (let at = 0; at < stream.length;) {
    const start = at + ENVELOPE_HEAD_BYTES;
    const end = start + view.getUint32(at + 1);
    expect(stream[at]).toBe(0);
    expect(end).toBeLessThanOrEqual(stream.length);
    messages.push(fromBinary(SubscribeResponseSchema, stream.subarray(start, end)));
    at = end;
  }
  return messages;
}

test("a message with an appended field is what protobuf would have written with the field in it", async () => {
  const sizes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(16_383, 16_384, 65_536));
  const answer = fc.record({
    logId: fc.string(),
    caughtUp: fc.bigInt({ min: 0n, max: 2n ** 53n }),
    size: fc.option(sizes, { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(answer, { maxLength: 4 }), async (answers) => {
      const appending = new Appending();
      const fields = answers.map(({ logId, caughtUp, size = 0 }) => {
        return { logId, caughtUp, encodedEvents: new Uint8Array(size).fill(0xa5) };
      });
      async function* messages() {
        await Promise.resolve();
        for (const [index, { size, ...position }] of answers.entries()) {
          const bytes = fields[index]?.encodedEvents ?? new Uint8Array();
          if (size !== undefined) appending.append({ field: FIELD, bytes });
          yield enveloped(create(SubscribeResponseSchema, position));
        }
      }
      const chunks = await Array.fromAsync(withAppended(messages(), appending, () => true));
      const expected = fields.map((each) => create(SubscribeResponseSchema, each));
      // Compared as bytes: a matcher would walk through each one.
      const plain = Buffer.concat(expected.map((each) => toBinary(SubscribeResponseSchema, each)));
      const read = opened(Buffer.concat(chunks)).map((each) => toBinary(SubscribeResponseSchema, each));
      expect(Buffer.concat(read).equals(plain)).toBe(true);
      expect(read).toHaveLength(answers.length);
    }),
    { numRuns: 60 },
  );
});

const PAGES = 4;
const PAGE_DATA_BYTES = 60_000;
const PAGE_EVENTS = 10;

function pageOf(index: number) {
  const data = (each: number) => new Uint8Array(PAGE_DATA_BYTES).fill(index * PAGE_EVENTS + each);
  const first = index * PAGE_EVENTS + 1;
  return encodeEvents(Array.from({ length: PAGE_EVENTS }, (_, each) => event(first + each, data(each))));
}

function serving(batches: () => AsyncGenerator<LogBatch>, logger = silentLogger) {
  return serveFakes({ logger, parts: () => ({ events: { logId: "log-1", batches, ...unaskedEvents } }) });
}

test("a page is let go only when the socket has all of it, and comes whole to a reader who takes its time", async () => {
  const released: number[] = [];
  await using api = await serving(async function* () {
    await Promise.resolve();
    for (let index = 0; index < PAGES; index++) {
      const events = pageOf(index);
      const release = () => {
        released.push(index);
        events.bytes.fill(0);
      };
      yield { logId: "log-1", events, caughtUp: (index + 1) * PAGE_EVENTS, release };
    }
  });
  const transport = createConnectTransport({
    baseUrl: "http://localhost",
    httpVersion: "1.1",
    nodeOptions: { socketPath: api.path },
    acceptCompression: [],
  });
  let index = 0;
  for await (const { encodedEvents } of createClient(EventService, transport).subscribe({ encoded: true })) {
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(Buffer.from(encodedEvents).equals(eventBytes(pageOf(index)))).toBe(true);
    index += 1;
  }
  expect(index).toBe(PAGES);
  expect(released).toEqual([0, 1, 2, 3]);
});

test("a client that has left when its events are written is no fault: nothing is logged, nothing printed", async () => {
  const printed = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const logged = vi.fn();
  const goOn = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  {
    await using api = await serving(
      async function* () {
        try {
          yield { logId: "log-1", events: pageOf(0), caughtUp: PAGE_EVENTS };
          await goOn.promise;
          yield { logId: "log-1", events: pageOf(1), caughtUp: 2 * PAGE_EVENTS };
        } finally {
          ended.resolve();
        }
      },
      { ...silentLogger, error: logged },
    );
    const socket = connect(api.path);
    const head =
      "POST /quaymesh.v1.EventService/Subscribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+proto\r\n";
    // An empty request in its envelope.
    socket.write(`${head}Content-Length: 5\r\n\r\n\0\0\0\0\0`);
    let bytes = 0;
    while (bytes < PAGE_EVENTS * PAGE_DATA_BYTES) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      bytes += chunk.length;
    }
    socket.destroy();
    // In the same turn: the gateway has not heard of it.
    goOn.resolve();
    await ended.promise;
  }
  expect(printed).not.toHaveBeenCalled();
  expect(logged).not.toHaveBeenCalled();
  printed.mockRestore();
});
