import { expect, it } from "vitest";
import type { OutboxFile, OutboxFiles } from "../src/outbox/files.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import type { OutboxEvent } from "../src/outbox/record.ts";
import { CrashingFiles } from "./support/crashing-files.ts";

const event = (name: string): OutboxEvent => ({ kind: name, time: 1, data: new Uint8Array(100).fill(7) });
const open = (files: OutboxFiles): Promise<Outbox> =>
  Outbox.open({ directory: "/outbox", files, maxBytes: 1_000_000, segmentBytes: 2048 });

/** The last event that is there. */
async function lastOf(outbox: Outbox): Promise<string | undefined> {
  await using cursor = outbox.cursor(outbox.acked);
  return (await cursor.next({ events: 1000, bytes: 1_000_000 })).at(-1)?.kind;
}

/** From some time on the watermark reaches the page cache and no further. */
class StuckWatermark extends CrashingFiles {
  isStuck = false;
  readonly #asked = Promise.withResolvers<void>();

  /** Resolves when the watermark should have been synced and was not. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  override async open(path: string, how: "create" | "existing"): Promise<OutboxFile> {
    const file = await super.open(path, how);
    if (!path.endsWith("watermarks")) return file;
    const sync = (): Promise<void> => {
      if (!this.isStuck) return file.sync();
      this.#asked.resolve();
      return new Promise(() => undefined);
    };
    return { ...file, sync };
  }
}

it("a power cut finds what segments were removed by, also what a killed process had written and not synced", async () => {
  const files = new StuckWatermark();
  const killed = await open(files);
  for (let index = 1; index <= 40; index++) await killed.append(event(`e${index}`));
  // Until it is done with what the appends gave it to do.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  files.isStuck = true;
  killed.acknowledge(35);
  await files.asked;
  const disk = files.snapshotForCrash();
  const before = disk.paths().length;
  // Not closed: it would sync.
  await open(disk);
  expect(disk.paths().length).toBeLessThan(before);
  const again = disk.snapshotForCrash();
  again.powerCut(() => false);
  await using outbox = await open(again);
  expect(await lastOf(outbox)).toBe("e40");
});

it("what is acknowledged while the watermark is being written is removed only once that is on disk too", async () => {
  const files = new CrashingFiles();
  const killed = await open(files);
  for (let index = 1; index <= 40; index++) await killed.append(event(`e${index}`));
  // The last append's watermark is on its way.
  killed.acknowledge(35);
  const before = files.paths().length;
  for (let turn = 0; files.paths().length === before && turn < 1000; turn++) await Promise.resolve();
  expect(files.paths().length).toBeLessThan(before);
  const disk = files.snapshotForCrash();
  disk.powerCut((what) => what === "entry");
  await using outbox = await open(disk);
  expect(await lastOf(outbox)).toBe("e40");
});
