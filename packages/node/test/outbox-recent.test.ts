import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OutboxFile } from "../src/outbox/files.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import { RecentEvents } from "../src/outbox/recent.ts";
import { CrashingFiles } from "./support/crashing-files.ts";

const EVENT = { kind: "k", time: 1, data: new Uint8Array(10) };
const LIMIT = { events: 1000, bytes: 1_000_000 };

/** Counts reads of records from disk. */
class ReadCountingFiles extends CrashingFiles {
  reads = 0;

  override async open(path: string, how: "create" | "existing"): Promise<OutboxFile> {
    const file = await super.open(path, how);
    if (!path.endsWith(".log")) return file;
    return {
      ...file,
      read: (into, position) => {
        this.reads += 1;
        return file.read(into, position);
      },
    };
  }
}

async function filled(recentBytes: number): Promise<{ readonly files: ReadCountingFiles; readonly outbox: Outbox }> {
  const files = new ReadCountingFiles();
  const outbox = await Outbox.open({ directory: "/outbox", files, segmentBytes: 2048, recentBytes });
  for (let index = 1; index <= 50; index++) {
    await outbox.append({ kind: `k${String(index)}`, time: index, data: new Uint8Array(100).fill(index) });
  }
  return { files, outbox };
}

function sizeOf(kept: readonly { readonly bytes: number }[]): number {
  return kept.reduce((sum, { bytes }) => sum + bytes, 0);
}

describe("the newest events of an outbox", () => {
  it("are read without a look at the disk, over the ends of segments too", async () => {
    const { files, outbox } = await filled(100_000);
    await using _ = outbox;
    await using cursor = outbox.cursor(0);
    const records = await cursor.next(LIMIT);
    expect(records.map(({ seq, kind, data }) => [seq, kind, data[0]])).toEqual(
      Array.from({ length: 50 }, (_, index) => [index + 1, `k${String(index + 1)}`, index + 1]),
    );
    expect(files.reads).toBe(0);
  });

  it("go by their new numbers after a renumbering", async () => {
    const { outbox } = await filled(100_000);
    await using _ = outbox;
    outbox.acknowledge(20);
    await outbox.renumber();
    await using cursor = outbox.cursor(0);
    const records = await cursor.next(LIMIT);
    expect(records.map(({ seq, kind }) => [seq, kind])).toEqual(
      Array.from({ length: 30 }, (_, index) => [index + 1, `k${String(index + 21)}`]),
    );
  });

  it("go on where those from disk end, and from disk where they are not kept any more", async () => {
    const { files, outbox } = await filled(1000);
    await using _ = outbox;
    await using cursor = outbox.cursor(0);
    const records = await cursor.next(LIMIT);
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(files.reads).toBeGreaterThan(0);
    // From memory up to here; then so much comes that the next has left it.
    for (let index = 51; index <= 70; index++) {
      await outbox.append({ kind: `k${String(index)}`, time: index, data: new Uint8Array(100).fill(index) });
    }
    const reads = files.reads;
    const more = await cursor.next({ events: 1, bytes: 1_000_000 });
    expect(more).toMatchObject([{ seq: 51, kind: "k51", time: 51 }]);
    // Known where it lies: nothing in front of it is looked at again.
    expect(files.reads - reads).toBe(1);
  });

  it("are let go when they are acknowledged", () => {
    const recent = new RecentEvents(1000);
    recent.add(
      1,
      [1, 2, 3].map((at) => ({ event: EVENT, at, bytes: 100 })),
    );
    recent.dropThrough(2);
    expect([1, 2, 3, 4].map((seq) => recent.get(seq)?.at)).toEqual([undefined, undefined, 3, undefined]);
    expect(recent.bytes).toBe(100);
  });

  it("are the newest, and never more bytes than is meant", () => {
    const step = fc.oneof(
      fc.record({ add: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }) }),
      fc.record({ dropTo: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.nat(10), fc.array(step, { maxLength: 40 }), (before, steps) => {
        const recent = new RecentEvents(1000);
        let kept: { readonly seq: number; readonly bytes: number }[] = [];
        let last = before;
        for (const next of steps) {
          if ("dropTo" in next) {
            const through = Math.floor(last * next.dropTo);
            recent.dropThrough(through);
            kept = kept.filter(({ seq }) => seq > through);
          } else {
            const first = last + 1;
            for (const bytes of next.add) kept.push({ seq: ++last, bytes });
            recent.add(
              first,
              next.add.map((bytes, index) => ({ event: EVENT, at: first + index, bytes })),
            );
            while (sizeOf(kept) > 1000) kept.shift();
          }
          expect(recent.bytes).toBe(sizeOf(kept));
          const seqs = new Set(kept.map(({ seq }) => seq));
          for (let seq = 0; seq <= last + 1; seq++) expect(recent.get(seq)?.at).toBe(seqs.has(seq) ? seq : undefined);
        }
      }),
    );
  });
});
