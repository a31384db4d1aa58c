import { expect, test } from "vitest";
import { bytes } from "../src/command.ts";
import { quarantineTable } from "../src/commands/events-quarantine.ts";
import { retentionOf } from "../src/retention-options.ts";

test("events that were set aside fit a screen of 80 columns, whatever their node put into them", () => {
  const event = {
    id: 123,
    deviceId: "01J0000000000000000000000A",
    outboxEpoch: new Uint8Array(16),
    seq: 1_234_567,
    kind: "a.long.kind.that.goes.on.and.on\u001B[2J",
    time: 1_700_000_000_000,
    received: 1_700_000_000_000,
    data: { text: "x".repeat(500) },
    bytes: new Uint8Array(),
    offset: 48_112,
  };
  const lines = quarantineTable([event, { ...event, offset: undefined }], 80, 1_700_000_060_000);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.join("\n")).not.toContain("\u001B");
  expect(lines[1]).toContain("48 112");
  expect(lines[2]).toContain("gone");
});

test("sizes are read in powers of ten, and what is none is refused", () => {
  const parse = bytes(1000);
  expect(["4096", "10GB", "10g", "1.5 MB".replace(" ", ""), "2T"].map(parse)).toEqual([4096, 1e10, 1e10, 1.5e6, 2e12]);
  for (const text of ["", "10", "GB", "1e9", "-5GB", "10 GB", "1GiB"]) expect(() => parse(text)).toThrow("Give a size");
});

test("one device may hold a quarter of the log unless it is said otherwise, and none is no bound", () => {
  const flags = { retainAge: 60, retainSize: 1_000_000 } as const;
  expect(retentionOf(flags)).toEqual({
    retention: { maxAgeMs: 60_000, maxBytes: 1_000_000 },
    ingest: { maxDeviceBytes: 250_000 },
  });
  expect(retentionOf({ retainAge: "none", retainSize: "none", deviceRate: 5 })).toEqual({
    retention: {},
    ingest: { maxEventsPerSecond: 5 },
  });
  expect(retentionOf({ ...flags, deviceQuota: 7 }).ingest).toEqual({ maxDeviceBytes: 7 });
  expect(retentionOf({ ...flags, trustClock: true }).retention).toMatchObject({ trustClock: true });
});
