import { rmSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acceptLoss, knownLoss, stateLayout, type StateLayout } from "@quaymesh/gateway";
import type { Checkpoint } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import { commitGroup } from "../../src/store/sqlite/group-commit.ts";
import { copyDatabase, openForWriting } from "../../src/store/sqlite/open.ts";
import { READS, type WRITES, type UnitInput, type UnitOutput } from "../../src/store/sqlite/units.ts";
import {
  deviceIdOf,
  enrollInput,
  epochOf,
  eventsOf,
  sessionInput,
  submitInput,
  T0,
} from "../../../../test/contract/store-fixtures.ts";

const [A, B, C, D] = ["A", "B", "C", "D"].map(deviceIdOf) as [string, string, string, string];

/** A state with four devices, ten events and a task; `backup` is a copy of its database as of then. */
async function filled(): Promise<AsyncDisposable & { readonly layout: StateLayout; readonly backup: string }> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-lineage-"));
  const layout = stateLayout(directory);
  {
    using store = open(layout);
    for (const device of [A, B, C, D]) store.devices.enroll(enrollInput(device));
    visit(store);
    append(store, 1, 10);
    store.tasks.submit(submitInput(deviceIdOf("T")));
  }
  const backup = join(directory, "copy");
  await copyFile(layout.database, backup);
  return { layout, backup, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** The store's units on a database of their own, without its threads: dozens of openings are then quick. */
function open(layout: StateLayout) {
  const opened = openForWriting({ path: layout.database, seenGeneration: 0, maxBytes: 0 });
  const { db, logId } = opened;
  const write =
    <N extends keyof typeof WRITES>(name: N) =>
    (input: UnitInput<N>): UnitOutput<N> => {
      const [reply] = commitGroup(db, [{ id: 1, unit: name, input }]);
      if (reply?.ok !== true) throw new Error(`${name} was refused`);
      return reply.value as UnitOutput<N>;
    };
  return {
    meta: { logId },
    lineage: {
      checkpoint: () => READS["lineage.checkpoint"](db, undefined),
      behind: () => READS["lineage.behind"](db, undefined),
    },
    devices: {
      enroll: write("devices.enroll"),
      revoke: write("devices.revoke"),
      get: (id: string) => READS["devices.get"](db, id),
    },
    sessions: { open: write("sessions.open") },
    events: { append: write("events.append") },
    tasks: { submit: write("tasks.submit"), get: (id: string) => READS["tasks.get"](db, id) },
    [Symbol.dispose]: () => opened[Symbol.dispose](),
  };
}

type Store = ReturnType<typeof open>;

const visit = (store: Store, seen?: Checkpoint) => store.sessions.open({ ...sessionInput(A), seen });
const append = (store: Store, first: number, count: number) =>
  store.events.append({ deviceId: A, outboxEpoch: epochOf(1), first, events: eventsOf(first, count), now: T0 });
const revoke = (store: Store, deviceId: string) =>
  store.devices.revoke({ deviceId, receiptId: `receipt-${deviceId}`, reason: "", now: T0 });

/** What a node was told last by a life that went on after the copy. */
function otherLife(layout: StateLayout, live: (store: Store) => unknown): Checkpoint {
  using store = open(layout);
  live(store);
  const checkpoint = store.lineage.checkpoint();
  if (checkpoint === undefined) throw new Error("no checkpoint");
  return checkpoint;
}

/** A consistent copy of a database that is open. */
function copyLive(layout: StateLayout, to: string): void {
  rmSync(to);
  copyDatabase(layout.database, to);
}

describe("a store and what a node has seen of it", () => {
  test("fits over any number of starts, and whatever the node has seen of them", async () => {
    await using state = await filled();
    const seen: Checkpoint[] = [];
    for (let start = 0; start < 3; start += 1) {
      seen.push(
        otherLife(state.layout, (store) => {
          for (const each of seen) expect(visit(store, each).behind).toBeUndefined();
          append(store, 11 + start * 10, 10);
        }),
      );
    }
    expect(seen.map(({ offset, generation }) => [offset, generation])).toEqual([
      [20, 2],
      [30, 3],
      [40, 4],
    ]);
  });

  test.each([
    ["events that it lacks", (store: Store) => append(store, 11, 1)],
    ["a revocation that it lacks", (store: Store) => revoke(store, B)],
    ["a start that it knows nothing of", () => undefined],
  ])("put back to before %s it opens no session, for nobody, and after a restart neither", async (_what, live) => {
    await using state = await filled();
    const seen = otherLife(state.layout, live);
    await copyFile(state.backup, state.layout.database);
    {
      using store = open(state.layout);
      expect(visit(store).behind).toBeUndefined();
      // The same number of a start, and another start.
      expect(store.lineage.checkpoint()?.generation).toBe(seen.generation);
      expect(visit(store, seen).behind).toMatchObject({ device: A });
      expect(store.sessions.open(sessionInput(B)).behind).toMatchObject({ device: A });
    }
    using again = open(state.layout);
    expect(again.sessions.open(sessionInput(B)).behind).toMatchObject({ device: A });
    expect(again.lineage.behind()).toMatchObject({ device: A, seen: { offset: seen.offset } });
  });

  test("is not fooled by having grown past what was seen since it was put back", async () => {
    await using state = await filled();
    // A copy of the very start that the node has seen, from before what it has seen.
    let seen: Checkpoint | undefined;
    {
      using store = open(state.layout);
      copyLive(state.layout, state.backup);
      append(store, 11, 5);
      seen = store.lineage.checkpoint();
    }
    expect(seen?.offset).toBe(15);
    // It goes with the machine.
    rmSync(`${state.layout.database}.commits`);
    await copyFile(state.backup, state.layout.database);
    using store = open(state.layout);
    append(store, 11, 100);
    expect(visit(store, seen).behind).toBeDefined();
  });

  test("believes nothing that it has not said itself", async () => {
    await using state = await filled();
    const seen = otherLife(state.layout, (store) => append(store, 11, 1));
    const forged: readonly Checkpoint[] = [
      { ...seen, era: seen.era + 1 },
      { ...seen, generation: seen.generation + 5 },
      { ...seen, incarnation: new Uint8Array(16) },
      { ...seen, revocationEpoch: 99 },
      { ...seen, offset: 1_000_000 },
      { ...seen, revoked: [B] },
      { ...seen, mac: new Uint8Array(32) },
    ];
    using store = open(state.layout);
    for (const each of forged) {
      expect(visit(store, each)).toMatchObject({ foreignCheckpoint: true });
      expect(visit(store, each).behind).toBeUndefined();
    }
    expect(visit(store, seen)).toMatchObject({ foreignCheckpoint: false });
    expect(visit(store, seen).behind).toBeUndefined();
    expect(store.lineage.behind()).toBeUndefined();
  });
});

describe("accepting a loss", () => {
  test("revokes again whom nodes have seen revoked, jumps over their epochs, and says what nobody knows", async () => {
    await using state = await filled();
    const seen = otherLife(state.layout, (store) => {
      append(store, 11, 7);
      revoke(store, B);
      revoke(store, C);
    });
    await copyFile(state.backup, state.layout.database);
    let logId: string;
    {
      using store = open(state.layout);
      logId = store.meta.logId;
      expect(visit(store, seen).behind).toMatchObject({ revoked: [C, B], here: { offset: 10 } });
    }
    // Ten before, seven since, and each revocation is an event too.
    expect(await knownLoss(state.layout.directory)).toMatchObject({ seen: { revocationEpoch: 2, offset: 10 + 7 + 2 } });
    const accepted = await acceptLoss(state.layout.directory, { now: T0 + 1000 });
    expect(accepted).toMatchObject({ era: 1, revokedAgain: ["name-C", "name-B"], unknownRevocations: 0 });
    expect(accepted.revocationEpoch).toBeGreaterThan(seen.revocationEpoch + 2);
    expect(accepted.tasksEnded).toEqual([deviceIdOf("T")]);
    expect(await knownLoss(state.layout.directory)).toBeUndefined();
    using store = open(state.layout);
    expect(store.meta.logId).not.toBe(logId);
    expect(store.devices.get(B)?.revoked).toBe(true);
    expect(store.devices.get(D)?.revoked).toBe(false);
    expect(visit(store, seen).behind).toBeUndefined();
    expect(store.tasks.get(deviceIdOf("T"))?.error?.code).toBe("GATEWAY_RESTORED");
  });

  test("does not hide that the same old copy was put back once more", async () => {
    await using state = await filled();
    const lost = otherLife(state.layout, (store) => append(store, 11, 1));
    await copyFile(state.backup, state.layout.database);
    {
      using store = open(state.layout);
      visit(store, lost);
    }
    await acceptLoss(state.layout.directory, { now: T0 });
    const seen = otherLife(state.layout, async (store) => expect(visit(store, lost).behind).toBeUndefined());
    await copyFile(state.backup, state.layout.database);
    using store = open(state.layout);
    expect(visit(store, seen).behind).toMatchObject({ seen: { era: 1 } });
  });

  test("says how many revocations are lost of which nobody knows whom they were of", async () => {
    await using state = await filled();
    const devices = Array.from({ length: 10 }, (_, at) => deviceIdOf("EFGHJKMNPQ".charAt(at)));
    const seen = otherLife(state.layout, (store) => {
      for (const device of devices) {
        store.devices.enroll(enrollInput(device));
        revoke(store, device);
      }
    });
    expect(seen.revoked).toHaveLength(8);
    await copyFile(state.backup, state.layout.database);
    {
      using store = open(state.layout);
      visit(store, seen);
    }
    // All of them were paired after the copy: it does not know them, so nothing is to be done about them.
    expect(await acceptLoss(state.layout.directory, { now: T0 })).toMatchObject({
      revokedAgain: [],
      unknownRevocations: 2,
    });
  });
});
