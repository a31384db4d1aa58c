import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { OutboxFile, OutboxFiles } from "../src/outbox/files.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import type { OutboxEvent, OutboxRecord } from "../src/outbox/record.ts";
import { CrashingFiles } from "./support/crashing-files.ts";

const DIRECTORY = "/outbox";
const event = (name: string, size = 100): OutboxEvent => ({ kind: name, time: 1, data: new Uint8Array(size).fill(7) });
const open = (files: OutboxFiles, maxBytes = 1_000_000): Promise<Outbox> =>
  Outbox.open({ directory: DIRECTORY, files, maxBytes, segmentBytes: 2048, recentBytes: 0 });

async function readAll(outbox: Outbox, after = outbox.acked): Promise<OutboxRecord[]> {
  await using cursor = outbox.cursor(after);
  const records: OutboxRecord[] = [];
  for (;;) {
    const more = await cursor.next({ events: 10, bytes: 100_000 });
    if (more.length === 0) return records;
    records.push(...more);
  }
}

async function filled(files: CrashingFiles, count: number): Promise<void> {
  await using outbox = await open(files);
  for (let index = 1; index <= count; index++) await outbox.append(event(`e${index}`));
}

/** Counts fsyncs of everything but the watermarks, and lets a test hold them back. */
class CountingFiles extends CrashingFiles {
  syncs = 0;
  gate: Promise<void> = Promise.resolve();
  #began = Promise.withResolvers<void>();

  /** Resolves when an fsync has begun after this was asked for. */
  get syncing(): Promise<void> {
    this.#began = Promise.withResolvers<void>();
    return this.#began.promise;
  }

  override async open(path: string, how: "create" | "existing"): Promise<OutboxFile> {
    const file = await super.open(path, how);
    if (path.endsWith("watermarks")) return file;
    return {
      ...file,
      sync: async () => {
        this.syncs += 1;
        this.#began.resolve();
        await this.gate;
        await file.sync();
      },
    };
  }
}

describe("an outbox", () => {
  it("numbers events from 1 without a gap and keeps its epoch over reopening", async () => {
    const files = new CrashingFiles();
    const first = await open(files);
    expect(await Promise.all([first.append(event("a")), first.append(event("b"))])).toEqual([1, 2]);
    await first.close();
    const second = await open(files);
    expect(second.epoch).toEqual(first.epoch);
    expect(await second.append(event("c"))).toBe(3);
    expect((await readAll(second)).map(({ seq, kind }) => [seq, kind])).toEqual([
      [1, "a"],
      [2, "b"],
      [3, "c"],
    ]);
    await second.close();
  });

  it("shares one fsync among all appends that wait, and resolves none before it", async () => {
    const files = new CountingFiles();
    await using outbox = await open(files);
    const gate = Promise.withResolvers<void>();
    files.gate = gate.promise;
    files.syncs = 0;
    let resolved = 0;
    const appends = Array.from({ length: 10 }, async (_, index) => {
      await outbox.append(event(`e${index}`, 10));
      resolved += 1;
    });
    await files.syncing;
    // Whoever was told already would have said so by then.
    await setImmediate();
    expect(resolved).toBe(0);
    expect(outbox.durable).toBe(0);
    gate.resolve();
    await Promise.all(appends);
    expect(files.syncs).toBe(1);
  });

  it("resolves a buffered append before the fsync, and does not offer the event for sending until after it", async () => {
    const files = new CountingFiles();
    await using outbox = await open(files);
    const gate = Promise.withResolvers<void>();
    files.gate = gate.promise;
    expect(await outbox.append(event("soon"), { durability: "buffered" })).toBe(1);
    expect(await readAll(outbox)).toEqual([]);
    gate.resolve();
    while (outbox.durable === 0) await outbox.changed.wait();
    expect(await readAll(outbox)).toHaveLength(1);
  });

  it("removes segments once they are acknowledged, and goes on numbering after all of them are", async () => {
    const files = new CrashingFiles();
    await filled(files, 40);
    const before = files.paths().length;
    const outbox = await open(files);
    outbox.acknowledge(40);
    await outbox.append(event("next"));
    await outbox.close();
    expect(files.paths().length).toBeLessThan(before);
    expect(files.paths().length).toBeLessThanOrEqual(3);
    const again = await open(files);
    expect(again.acked).toBe(40);
    expect((await readAll(again)).map(({ seq }) => seq)).toEqual([41]);
    await again.close();
  });

  it("refuses what does not fit, takes task reports into its reserve, and takes events again after an acknowledgement", async () => {
    const files = new CrashingFiles();
    await using outbox = await open(files, 20_000);
    let last = 0;
    const fill = async (): Promise<void> => {
      for (;;) last = await outbox.append(event("filler", 1000));
    };
    await expect(fill()).rejects.toMatchObject({ code: "OUTBOX_FULL" });
    expect(last).toBeGreaterThan(10);
    expect(await outbox.append(event("task.result", 1000), { reserve: true })).toBe(last + 1);
    outbox.acknowledge(last + 1);
    while (outbox.fill > 0.5) await outbox.changed.wait();
    expect(await outbox.append(event("again", 1000))).toBe(last + 2);
  });

  it("is read through whole, and from anywhere, where segments are larger than what is read at once", async () => {
    const files = new CrashingFiles();
    await using outbox = await Outbox.open({
      directory: DIRECTORY,
      files,
      maxBytes: 50_000_000,
      segmentBytes: 700_000,
      // The last three from memory.
      recentBytes: 100_000,
    });
    await Promise.all(Array.from({ length: 100 }, (_, index) => outbox.append(event(`e${index + 1}`, 30_000))));
    const seqs = Array.from({ length: 100 }, (_, index) => index + 1);
    expect((await readAll(outbox)).map(({ seq }) => seq)).toEqual(seqs);
    await using cursor = outbox.cursor(0);
    for (const after of [95, 20, 21, 60, 0, 22, 99, 43, 44]) {
      await cursor.seek(after);
      const [record] = await cursor.next({ events: 1, bytes: 1 });
      expect(record).toMatchObject({ seq: after + 1, kind: `e${after + 1}` });
    }
  });

  it("refuses an acknowledgement of what it never sent", async () => {
    await using outbox = await open(new CrashingFiles());
    await outbox.append(event("a"));
    expect(() => outbox.acknowledge(2)).toThrow(expect.objectContaining({ code: "GATEWAY_PROTOCOL" }));
    expect(outbox.acked).toBe(0);
  });

  it("tells those who wait when the gateway has an event, and that it never will once closed", async () => {
    const outbox = await open(new CrashingFiles());
    for (const name of ["a", "b", "c"]) await outbox.append(event(name));
    const order: number[] = [];
    const second = outbox.acknowledged(2).then(() => order.push(2));
    const first = outbox.acknowledged(1).then(() => order.push(1));
    const third = outbox.acknowledged(3);
    const aborted = outbox.acknowledged(3, AbortSignal.abort(new Error("enough")));
    await expect(aborted).rejects.toThrow("enough");
    outbox.acknowledge(2);
    await Promise.all([first, second]);
    expect(order).toEqual([1, 2]);
    const settled = expect(third).rejects.toMatchObject({ code: "NODE_STOPPED" });
    await outbox.close();
    await settled;
    await expect(outbox.append(event("late"))).rejects.toMatchObject({ code: "NODE_STOPPED" });
  });
});

describe("renumbering", () => {
  it("gives what is not acknowledged new numbers under a new epoch, and those who wait for it theirs", async () => {
    const files = new CrashingFiles();
    await filled(files, 50);
    const outbox = await open(files);
    const { epoch } = outbox;
    outbox.acknowledge(30);
    const waiting = outbox.acknowledged(35);
    expect(await outbox.renumber()).toEqual({ dropped: 30, kept: 20 });
    expect(outbox.epoch).not.toEqual(epoch);
    const renamed = Array.from({ length: 20 }, (_, index) => [index + 1, `e${index + 31}`]);
    expect((await readAll(outbox)).map(({ seq, kind }) => [seq, kind])).toEqual(renamed);
    outbox.acknowledge(5);
    await waiting;
    expect(await outbox.append(event("next"))).toBe(21);
    const { epoch: second } = outbox;
    await outbox.close();
    await using again = await open(files);
    expect(again.epoch).toEqual(second);
    expect((await readAll(again)).map(({ kind }) => kind)).toEqual([
      ...renamed.slice(5).map(([, kind]) => kind),
      "next",
    ]);
  });

  it("cut off by a crash leaves the old numbering or the new one, whole", async () => {
    const outcomes = new Set<string>();
    for (let moment = 1; moment <= 120; moment++) {
      const files = new CrashingFiles();
      await filled(files, 20);
      const outbox = await open(files);
      const epoch = Buffer.from(outbox.epoch).toString("hex");
      outbox.acknowledge(5);
      const renumbering = outbox.renumber();
      for (let turn = 0; turn < moment; turn++) await Promise.resolve();
      const disk = files.snapshotForCrash();
      await renumbering;
      await outbox.close();
      disk.powerCut(() => moment % 2 === 0);
      await using again = await open(disk);
      const isOld = Buffer.from(again.epoch).toString("hex") === epoch;
      const kinds = (await readAll(again, again.acked)).map(({ kind }) => kind);
      const expected = Array.from({ length: 15 }, (_, index) => `e${index + 6}`);
      expect(kinds.slice(-15)).toEqual(expected);
      if (!isOld) expect(kinds).toEqual(expected);
      outcomes.add(isOld ? "old" : "new");
    }
    expect([...outcomes].sort()).toEqual(["new", "old"]);
  });

  it("that fails leaves all as it was", async () => {
    const files = new CrashingFiles();
    await filled(files, 20);
    await using outbox = await open(files);
    const { epoch } = outbox;
    files.faults = { fullAfter: 10 };
    await expect(outbox.renumber()).rejects.toMatchObject({ name: "NodeError" });
    expect(outbox.epoch).toEqual(epoch);
    expect(await outbox.append(event("next"))).toBe(21);
    expect(await readAll(outbox)).toHaveLength(21);
  });
});

describe("an outbox on a failing disk", () => {
  it.each([
    ["a full disk", { fullAfter: 30 }, "OUTBOX_DISK_FULL"],
    ["a failing fsync", { failSync: true }, "OUTBOX_IO"],
  ])("refuses on %s, and goes on without a gap once it works again", async (_, faults, code) => {
    const files = new CrashingFiles();
    const outbox = await open(files);
    await outbox.append(event("kept"));
    files.faults = { ...faults };
    await expect(outbox.append(event("refused"))).rejects.toMatchObject({ code });
    expect(outbox.durable).toBe(1);
    expect(await outbox.append(event("next"))).toBe(2);
    await outbox.close();
    await using again = await open(files);
    expect((await readAll(again)).map(({ kind }) => kind)).toEqual(["kept", "next"]);
  });

  it("carries on over short writes", async () => {
    const files = new CrashingFiles();
    await using outbox = await open(files);
    files.faults = { shortWrite: 5 };
    await outbox.append(event("a"));
    expect((await readAll(outbox)).map(({ kind }) => kind)).toEqual(["a"]);
  });

  it("cuts a torn tail that was never confirmed and says so", async () => {
    const files = new CrashingFiles();
    await filled(files, 3);
    const path = files.paths()[0] ?? "";
    files.corrupt(path, (bytes) => Buffer.concat([bytes, Buffer.alloc(77, 0xab)]));
    await using outbox = await open(files);
    expect(outbox.repair).toEqual({ file: path, bytesCut: 77 });
    expect(await readAll(outbox)).toHaveLength(3);
  });
});

it("an outbox knows how much it holds: what its segments take, as they come and go", async () => {
  const files = new CrashingFiles();
  const onDisk = async (): Promise<number> => {
    const sizes = files
      .paths()
      .filter((path) => path.endsWith(".log"))
      .map(async (path) => {
        const file = await files.open(path, "existing");
        return file.size();
      });
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  };
  await filled(files, 30);
  await using outbox = await open(files);
  expect(outbox.bytes).toBe(await onDisk());
  for (let index = 31; index <= 60; index++) await outbox.append(event(`e${index}`));
  const before = outbox.bytes;
  expect(before).toBe(await onDisk());
  outbox.acknowledge(50);
  while (outbox.bytes === before) await outbox.changed.wait();
  expect(outbox.bytes).toBe(await onDisk());
});

describe("a power cut", () => {
  it("after segments were removed leaves an outbox that knows why they are gone", async () => {
    const files = new CrashingFiles();
    await filled(files, 60);
    const outbox = await open(files);
    const before = outbox.bytes;
    outbox.acknowledge(50);
    while (outbox.bytes === before) await outbox.changed.wait();
    const disk = files.snapshotForCrash();
    await outbox.close();
    disk.powerCut((what) => what === "entry");
    await using again = await open(disk);
    expect(again.acked).toBe(50);
    expect((await readAll(again)).map(({ seq }) => seq)).toEqual([51, 52, 53, 54, 55, 56, 57, 58, 59, 60]);
  });

  it("may bring some of the removed segments back and others not", async () => {
    const files = new CrashingFiles();
    await filled(files, 60);
    const outbox = await open(files);
    const before = outbox.bytes;
    outbox.acknowledge(50);
    while (outbox.bytes === before) await outbox.changed.wait();
    const disk = files.snapshotForCrash();
    await outbox.close();
    let entries = 0;
    disk.powerCut((what) => what === "entry" && entries++ % 2 === 1);
    await using again = await open(disk);
    expect((await readAll(again)).map(({ seq }) => seq)).toEqual([51, 52, 53, 54, 55, 56, 57, 58, 59, 60]);
  });
});

describe("damage to an outbox", () => {
  const damages: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["a flipped bit in the first record", (bytes) => flip(bytes, 36 + 30)],
    ["a flipped bit in a record's length", (bytes) => flip(bytes, 36 + 2)],
    ["a flipped bit in the last record", (bytes) => flip(bytes, bytes.length - 3)],
    ["a flipped bit in the header", (bytes) => flip(bytes, 10)],
    ["a cut end", (bytes) => bytes.slice(0, -20)],
    ["a missing record in the middle", (bytes) => Buffer.concat([bytes.slice(0, 36), bytes.slice(36 + 136)])],
    ["an empty file", () => new Uint8Array()],
  ];

  it.each(damages)("%s is refused at open and never served", async (_, damage) => {
    const files = new CrashingFiles();
    await filled(files, 5);
    files.corrupt(files.paths()[0] ?? "", damage);
    await expect(open(files)).rejects.toMatchObject({ code: "OUTBOX_CORRUPT" });
  });

  it("that happens while it is open is refused when it is read", async () => {
    const files = new CrashingFiles();
    await using outbox = await open(files);
    for (const name of ["a", "b", "c"]) await outbox.append(event(name));
    files.corrupt(files.paths()[0] ?? "", (bytes) => flip(bytes, 36 + 136 + 40));
    await expect(readAll(outbox)).rejects.toMatchObject({ code: "OUTBOX_CORRUPT", details: { seq: 2 } });
  });

  it.each([0, 1, -2])("a missing segment is noticed, wherever it was (%d)", async (index) => {
    const files = new CrashingFiles();
    await filled(files, 60);
    const segments = files.paths().filter((path) => path.endsWith(".log"));
    await files.remove(segments.at(index) ?? "");
    await expect(open(files)).rejects.toMatchObject({ code: "OUTBOX_CORRUPT" });
  });

  it("in the watermarks only costs a repeat", async () => {
    const files = new CrashingFiles();
    const outbox = await open(files);
    for (const name of ["a", "b", "c"]) await outbox.append(event(name));
    outbox.acknowledge(2);
    await outbox.close();
    files.corrupt(`${DIRECTORY}/1/watermarks`, (bytes) => bytes.fill(0xff));
    await using again = await open(files);
    expect(again.acked).toBe(0);
    expect(await readAll(again)).toHaveLength(3);
  });
});

function flip(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  return bytes;
}
