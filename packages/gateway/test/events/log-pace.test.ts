import { encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { LogPace } from "../../src/events/log-pace.ts";
import { eventRows } from "../../src/store/event-rows.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

test("one line a minute for each device and matter, and the next says what was left out", () => {
  const clock = new FakeClock();
  const pace = new LogPace(clock);
  expect(pace.line("a", "conflict")).toEqual({ device: "a" });
  expect(pace.line("a", "conflict")).toBeUndefined();
  expect(pace.line("a", "report")).toEqual({ device: "a" });
  expect(pace.line("b", "conflict")).toEqual({ device: "b" });
  clock.advance(60_000);
  expect(pace.line("a", "conflict")).toEqual({ device: "a", leftOut: 1 });
});

test("a device that takes its own session over again and again is recorded once a minute, and counted each time", async () => {
  await using gateway = await testGateway({ clock: new FakeClock() });
  const device = await gateway.enroll("a");
  let join: Uint8Array | undefined;
  for (let session = 0; session < 4; session++) ({ join } = (await gateway.connect(device, { join })).welcome);
  await eventually(() => gateway.core.sessions.stats().superseded === 3);
  const page = await gateway.store.events.read({ after: 0, limit: 99, maxBytes: 1e6, filter: {} });
  expect(eventRows(page).map(({ kind }) => kind)).toEqual(["mesh.session.superseded"]);
});

test("streams that say nothing are cut, each of them, and told of once", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const node = await gateway.connect(await gateway.enroll("a"));
  const silent = await Promise.all(Array.from({ length: 20 }, async () => await node.connection.openStream()));
  for (const stream of silent) await stream.write(new Uint8Array(1));
  const cut = silent.map(async (stream) => {
    await expect(stream.read()).rejects.toMatchObject({ code: "STREAM_RESET" });
  });
  // In small steps, as the gateway starts each time when it has the bytes, and not as far as the session would fall silent.
  let passed = 0;
  await eventually(() => {
    if (passed < 20_000) clock.advance(500);
    passed += 500;
    return gateway.core.sessions.stats().cut["first-frame"] === 20;
  });
  await Promise.all(cut);
  expect(gateway.lines.filter(({ message }) => message.includes("late with a frame"))).toHaveLength(1);
});

test("a device that sends conflicts and broken reports as fast as it can does not fill the gateway's log", async () => {
  await using gateway = await testGateway({ clock: new FakeClock() });
  const publisher = await (await gateway.connect(await gateway.enroll("a"))).publish();
  await publisher.publish(1, ticks(1, 100, "task.result"));
  for (let batch = 0; batch < 3; batch++) {
    await publisher.send(
      1,
      Array.from({ length: 100 }, () => ({ kind: "other", time: batch, data: encodeValue(batch) })),
    );
    await publisher.acked(100);
  }
  const about = (what: string) => gateway.lines.filter(({ message }) => message.includes(what));
  expect(about("a task report cannot be read")).toHaveLength(1);
  expect(about("quarantined").map(({ fields }) => fields)).toEqual([
    expect.objectContaining({ count: 100, seqs: [1, 2, 3, 4, 5, 6, 7, 8] }),
  ]);
});
