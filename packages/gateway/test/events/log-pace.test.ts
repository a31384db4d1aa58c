import { encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { LogPace } from "../../src/events/log-pace.ts";
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
