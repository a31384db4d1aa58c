import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { LogScrub } from "../../src/events/log-scrub.ts";
import { silentLogger } from "../../src/logger.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

/** As a disk does it: behind the back of whoever has the file open. */
function damage(directory: string, sql: string): void {
  using db = new DatabaseSync(join(directory, "gateway.db"), { timeout: 5000 });
  db.exec(sql);
}

/** A gateway whose log holds ten events of one node, and the node. */
async function withTen() {
  const gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a", ["events-reader"]));
  await (await node.publish()).publish(1, ticks(1, 10));
  return { gateway, node };
}

test("a damaged event is never served: a reader gets what comes before it, and then hears which it is", async () => {
  const { gateway, node } = await withTen();
  await using closing = gateway;
  damage(closing.directory, "UPDATE events SET data = x'02' WHERE position = 5");
  const offsets: number[] = [];
  const reading = async () => {
    for await (const event of gateway.core.events.subscribe({ after: 0 })) offsets.push(event.offset);
  };
  await expect(reading()).rejects.toMatchObject({ code: "EVENT_DAMAGED", metadata: { offset: "5" } });
  expect(offsets).toEqual([1, 2, 3, 4]);
  const subscription = await node.subscribe();
  expect((await subscription.events(4)).map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
  await expect(subscription.next()).rejects.toMatchObject({ code: "EVENT_DAMAGED", details: { offset: 5 } });
  // Whoever knows what it misses reads on behind it, and the session has not suffered.
  const behind = await node.subscribe({ after: 5 });
  expect((await behind.events(5)).map(({ offset }) => offset)).toEqual([6, 7, 8, 9, 10]);
  await node.heartbeat(1);
});

test("a filter hides no damage: what it would drop may be what it was to show", async () => {
  for (const sql of ["UPDATE events SET kind = 'other' WHERE position = 5", "DELETE FROM events WHERE position = 5"]) {
    const { gateway } = await withTen();
    await using closing = gateway;
    damage(closing.directory, sql);
    const filter = { kinds: ["test.*"] };
    const page = await gateway.store.events.read({ after: 0, limit: 100, maxBytes: 1e6, filter });
    expect(page).toMatchObject({ scannedTo: 4, latest: 10 });
    const next = gateway.store.events.read({ after: 4, limit: 100, maxBytes: 1e6, filter });
    await expect(next).rejects.toMatchObject({ code: "EVENT_DAMAGED" });
  }
});

test("the daily look finds every damaged event, names it, and counts it", async () => {
  const { gateway } = await withTen();
  await using closing = gateway;
  damage(closing.directory, "UPDATE events SET time = time + 1 WHERE position IN (3, 8)");
  const clock = new FakeClock();
  const named: unknown[] = [];
  const error = (fields: Readonly<Record<string, unknown>>) => void named.push(fields["offset"]);
  await using scrub = LogScrub.start({ store: gateway.store, clock, logger: { ...silentLogger, error } });
  await eventually(() => (clock.advance(60_000), named.length === 3));
  expect(named).toEqual([3, 8, undefined]);
  expect(scrub.stats).toEqual({ checkedTo: 10, damaged: 2 });
});
