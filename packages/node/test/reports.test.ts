import { parseTaskEvent, type TaskEvent } from "@quaymesh/protocol";
import { expect, it } from "vitest";
import { Outbox } from "../src/outbox/outbox.ts";
import { AttemptReports } from "../src/tasks/reports.ts";
import { CrashingFiles } from "./support/crashing-files.ts";
import { ManualClock } from "./support/manual-clock.ts";

it("a result is in the outbox only together with its output, also where the disk fails between them", async () => {
  const files = new CrashingFiles();
  await using outbox = await Outbox.open({ directory: "/outbox", files });
  const clock = new ManualClock();
  const reports = new AttemptReports(
    { taskId: "01J00000000000000000000000", token: 1 },
    { outbox, clock, onUrgent: () => undefined },
  );
  files.faults = { failSync: true };
  const output = new Uint8Array([0x01]);
  const finished = reports.finish({ outcome: "succeeded", output }, new AbortController().signal);
  // Once the disk has failed, it is tried again after a pause.
  for (let tries = 0; tries < 5; tries++) await clock.advance(1000);
  expect(await finished).toBe(2);
  await using cursor = outbox.cursor(0);
  const records = await cursor.next({ events: 10, bytes: 10_000 });
  const events = records.map(({ kind, data }): TaskEvent | undefined => parseTaskEvent(kind, data));
  expect(events).toMatchObject([
    { kind: "task.output", data: { index: 0, bytes: output } },
    { kind: "task.result", data: { outputChunks: 1, outputBytes: 1 } },
  ]);
});
