import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { encodeEvents, eventBytes } from "@quaymesh/protocol";
import { SubscribeResponseSchema } from "@quaymesh/api";
import { expect, test } from "vitest";
import { subscribeOnce } from "../../src/client/event-streams.ts";
import { openWire } from "../../src/client/wire.ts";
import { event } from "../api/fake-services.ts";

test("a gateway that knows no encoded events gives the same as one that does", async () => {
  const start = { after: 0, logId: "", since: undefined, tail: false, began: false };
  const { device, offset, seq, time, received, ...same } = event(7);
  const plain = { ...same, deviceId: device, offset: BigInt(offset), seq: BigInt(seq) };
  const answers = [
    { events: [{ ...plain, time: timestampFromMs(time), received: timestampFromMs(received) }] },
    { encodedEvents: eventBytes(encodeEvents([event(7)])) },
  ];
  const read = answers.map(async (answer) => {
    const message = create(SubscribeResponseSchema, { logId: "log-1", caughtUp: 7n, ...answer });
    const wire = {
      ...openWire("/nowhere"),
      async *stream<R>(_run: unknown, map: (given: never) => R) {
        yield map(message as never);
      },
    };
    return await Array.fromAsync(subscribeOnce(wire, start, {}));
  });
  const [old, current] = await Promise.all(read);
  expect(current).toEqual(old);
  expect(old).toMatchObject([{ caughtUp: 7, events: [{ offset: 7, cursor: "log-1:7", data: 1 }] }]);
});
