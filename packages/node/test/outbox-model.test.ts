import * as fc from "fast-check";
import { expect, it } from "vitest";
import { NodeError } from "../src/errors.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import type { OutboxEvent, OutboxRecord } from "../src/outbox/record.ts";
import { CrashingFiles, type Faults } from "./support/crashing-files.ts";

const DIRECTORY = "/outbox";

type Step =
  | { readonly kind: "append"; readonly sizes: readonly number[]; readonly durability: "durable" | "buffered" }
  | { readonly kind: "ack"; readonly share: number }
  | { readonly kind: "fault"; readonly faults: Faults }
  | { readonly kind: "reopen" }
  | { readonly kind: "renumber" }
  | { readonly kind: "kill"; readonly inFlight: number }
  | { readonly kind: "power-cut"; readonly inFlight: number; readonly keep: readonly boolean[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      sizes: fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 6 }),
      durability: fc.constantFrom("durable" as const, "buffered" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("ack" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      faults: fc.oneof(
        fc.constant<Faults>({ failSync: true }),
        fc.record({ shortWrite: fc.integer({ min: 1, max: 600 }) }),
        fc.record({ fullAfter: fc.integer({ min: 0, max: 600 }) }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "reopen" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "renumber" }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), inFlight: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("power-cut" as const),
      inFlight: fc.nat(3),
      keep: fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
    }),
  },
);

/** Drives an outbox and remembers what it promised. */
class Model {
  files = new CrashingFiles();
  /** By sequence, what the outbox said is on disk. */
  promised = new Map<number, OutboxEvent>();
  acked = 0;
  readonly #recentBytes: number;
  #made = 0;
  #outbox: Outbox | undefined;
  #epoch: string | undefined;

  constructor(recentBytes: number) {
    this.#recentBytes = recentBytes;
  }

  async open(): Promise<Outbox> {
    this.#outbox = await Outbox.open({
      directory: DIRECTORY,
      files: this.files,
      maxBytes: 1_000_000,
      segmentBytes: 2048,
      recentBytes: this.#recentBytes,
    });
    const epoch = Buffer.from(this.#outbox.epoch).toString("hex");
    // A crash before the first event may lose the epoch with it: nothing was numbered under it.
    if (this.promised.size > 0) expect(epoch).toBe(this.#epoch);
    this.#epoch = epoch;
    return this.#outbox;
  }

  event(size: number): OutboxEvent {
    this.#made += 1;
    return { kind: `k${this.#made}`, time: this.#made, data: new Uint8Array(size).fill(this.#made % 251) };
  }

  async append(outbox: Outbox, sizes: readonly number[], durability: "durable" | "buffered"): Promise<void> {
    const events = sizes.map((size) => this.event(size));
    const results = await Promise.allSettled(events.map((event) => outbox.append(event, { durability })));
    for (const [index, result] of results.entries()) {
      const event = events[index];
      if (event === undefined) continue;
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(NodeError);
      else if (durability === "durable") this.promised.set(result.value, event);
    }
  }

  /** Everything promised is read back, in order and without a gap; what is read beyond it becomes a promise. */
  async check(outbox: Outbox): Promise<void> {
    expect(outbox.acked).toBeLessThanOrEqual(this.acked);
    await using cursor = outbox.cursor(outbox.acked);
    const records: OutboxRecord[] = [];
    for (;;) {
      const more = await cursor.next({ events: 7, bytes: 3000 });
      if (more.length === 0) break;
      records.push(...more);
    }
    expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => outbox.acked + 1 + index));
    expect(outbox.durable).toBe(records.at(-1)?.seq ?? outbox.acked);
    const bySeq = new Map(records.map(({ seq, ...event }) => [seq, event]));
    for (const [seq, event] of this.promised) if (seq > outbox.acked) expect(bySeq.get(seq)).toEqual(event);
    for (const [seq, event] of bySeq) this.promised.set(seq, event);
  }

  async renumber(outbox: Outbox): Promise<void> {
    const { acked } = outbox;
    try {
      await outbox.renumber();
    } catch (cause) {
      // A fault was due: all must be as before.
      expect(cause).toBeInstanceOf(NodeError);
      return;
    }
    this.promised = new Map(
      [...this.promised].filter(([seq]) => seq > acked).map(([seq, event]) => [seq - acked, event]),
    );
    this.acked = 0;
    this.#epoch = Buffer.from(outbox.epoch).toString("hex");
  }

  /** Appends that nobody waits for, cut off after some of their disk operations. */
  async leaveInFlight(outbox: Outbox, count: number): Promise<void> {
    for (let index = 0; index < count; index++) outbox.append(this.event(300 * index)).catch(() => {});
    for (let turn = 0; turn < count * 2; turn++) await Promise.resolve();
  }
}

async function take(model: Model, outbox: Outbox, next: Step): Promise<Outbox> {
  switch (next.kind) {
    case "append":
      await model.append(outbox, next.sizes, next.durability);
      return outbox;
    case "ack": {
      const seq = Math.floor(outbox.acked + (outbox.durable - outbox.acked) * next.share);
      outbox.acknowledge(seq);
      model.acked = Math.max(model.acked, seq);
      return outbox;
    }
    case "fault":
      model.files.faults = { ...next.faults };
      return outbox;
    case "renumber":
      await model.renumber(outbox);
      return outbox;
    case "reopen":
      model.files.faults = {};
      await outbox.close();
      return model.open();
    case "kill":
    case "power-cut": {
      // One disaster at a time: that a disk fails an fsync and the machine dies before the next operation is beyond what is promised.
      model.files.faults = {};
      await model.leaveInFlight(outbox, next.inFlight);
      const disk = model.files.snapshotForCrash();
      if (next.kind === "power-cut") {
        let index = 0;
        disk.powerCut(() => next.keep[index++ % next.keep.length] ?? false);
      }
      await outbox.close();
      model.files = disk;
      return model.open();
    }
    default:
      return next satisfies never;
  }
}

it("whatever an outbox promised is there after any mix of appends, acknowledgements, faults and crashes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), fc.nat(4000), async (steps, recentBytes) => {
      const model = new Model(recentBytes);
      let outbox = await model.open();
      for (const next of steps) {
        outbox = await take(model, outbox, next);
        await model.check(outbox);
      }
      await outbox.close();
    }),
    { numRuns: 300 },
  );
});
