/** How much of one node's is at the store at once. */
import { encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { Store } from "../../src/store/port.ts";
import { testGateway } from "../support/gateway.ts";

interface Sent {
  readonly batches: number;
  /** Of data in each. */
  readonly bytes: number;
}

/** Send batches while nothing is committed: `most` of them come to the store, and no more. */
async function expectAtStore({ batches, bytes }: Sent, most: number): Promise<void> {
  const gate = Promise.withResolvers<void>();
  let begun = 0;
  const wrapStore = (store: Store): Store => ({
    ...store,
    events: {
      ...store.events,
      async append(input) {
        begun += 1;
        await gate.promise;
        return await store.events.append(input);
      },
    },
  });
  await using gateway = await testGateway({ wrapStore });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const events = Array.from({ length: Math.ceil(bytes / 50_000) }, () => ({
    kind: "k",
    time: 1,
    data: encodeValue(new Uint8Array(Math.min(50_000, bytes))),
  }));
  const sending = (async () => {
    for (let batch = 0; batch < batches; batch++) await publisher.send(1 + batch * events.length, events);
  })();
  await expect.poll(() => begun).toBe(most);
  // Whole round trips on another stream without one more: the gateway has stopped reading.
  for (let beat = 1; beat <= 10; beat++) await node.heartbeat(beat);
  expect(begun).toBe(most);
  gate.resolve();
  await sending;
  await publisher.acked(batches * events.length);
}

test("as many small batches of a node wait for their commit as it means to send: they are to share it", async () => {
  await expectAtStore({ batches: 40, bytes: 100 }, 16);
});

test("of large ones so many that they take no more memory than is meant", async () => {
  await expectAtStore({ batches: 12, bytes: 400_000 }, 6);
});
