/** Nodes that do not read what they are sent: what waits for them stays small. */
import { expect, test } from "vitest";
import type { Store } from "../../src/store/port.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

/** So that a few dozen answers fill it. */
const WINDOW_BYTES = 2048;

test("a publisher that reads no replies is not read any further, and served on when it does", async () => {
  const many = 3000;
  await using gateway = await testGateway({ windowBytes: WINDOW_BYTES });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  let sent = 0;
  const sending = (async () => {
    // Each is behind a gap, and each is answered so.
    for (; sent < many; sent += 1) await publisher.send(10, ticks(10, 1));
  })();
  // Whole round trips on another stream without a batch getting through: the gateway has stopped reading.
  for (let beat = 1, before = -1; before !== sent; beat += 2) {
    before = sent;
    await node.heartbeat(beat);
    await node.heartbeat(beat + 1);
  }
  expect(sent).toBeLessThan(many);
  for (let seen = 0; seen < many; seen += 1) expect(await publisher.reply()).toEqual({ type: "expected", seq: 1 });
  await sending;
});

test("a subscriber that does not read costs no look into the log while answers wait for it", async () => {
  const many = 300;
  let reads = 0;
  const wrapStore = (store: Store): Store => ({
    ...store,
    events: {
      ...store.events,
      async read(input) {
        reads += 1;
        return await store.events.read(input);
      },
    },
  });
  await using gateway = await testGateway({ wrapStore, windowBytes: WINDOW_BYTES });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const subscription = await node.subscribe({ filter: { kinds: ["none"] } });
  // Nothing matches, so each event that is read past is only told of.
  for (let seq = 1; seq <= many; seq += 1) await publisher.publish(seq, ticks(seq, 1));
  await node.heartbeat(1);
  expect(reads).toBeLessThan(many / 2);
  // Whoever reads again hears where the log stands.
  for (;;) {
    const message = await subscription.next();
    if (message.type === "caught-up" && message.offset === many) break;
  }
});
