import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  deriveSealingKey,
  KeyStore,
  newPassphraseParameters,
  readKeyFile,
  sealingKey,
  Secret,
} from "@quaymesh/identity";
import {
  backupStopped,
  openSqliteStore,
  restoreGateway,
  stateLayout,
  verifyBackup,
  writeBackup,
  type StateLayout,
} from "@quaymesh/gateway";
import { describe, expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { openAuthority } from "../../src/daemon/open-authority.ts";
import { StateLock } from "../../src/daemon/state-lock.ts";
import {
  deviceIdOf,
  enrollInput,
  epochOf,
  eventsOf,
  sessionInput,
  submitInput,
  T0,
} from "../../../../test/contract/store-fixtures.ts";

const KEY = sealingKey(new Uint8Array(32).fill(5));
const keys = (): Promise<typeof KEY> => Promise.resolve(KEY);
const A = deviceIdOf("A");
const TASK = deviceIdOf("T");
const JOIN = new Uint8Array(16).fill(1);
const at = { now: T0 + 5000, version: "1.2.3" };

const DURABLE = { owner: "operator", name: "export" };

/** What the log ends at then: ten events, and that of a revocation. */
const FILLED = 11;

/** A gateway's state with a device, its session, ten events, a revoked device, a task and a durable subscription. */
async function filled(): Promise<
  AsyncDisposable & { readonly path: (name: string) => string; readonly layout: StateLayout }
> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-backup-"));
  const layout = stateLayout(directory);
  await chmod(directory, 0o700);
  await openAuthority(layout, { meshName: "harbor", now: T0 });
  await using store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
  await store.devices.enroll(enrollInput(A));
  await store.devices.enroll(enrollInput(deviceIdOf("B")));
  await store.sessions.open({ ...sessionInput(A), join: { shown: undefined, fresh: JOIN } });
  await store.events.append({ deviceId: A, outboxEpoch: epochOf(1), first: 1, events: eventsOf(1, 10), now: T0 });
  await store.devices.revoke({ deviceId: deviceIdOf("B"), receiptId: "receipt", reason: "", now: T0 });
  await store.tasks.submit(submitInput(TASK, { idempotent: true }));
  const quota = { maxAgeMs: 1, maxEvents: 1, maxBytes: 1 };
  const create = { after: 0, quota, createdBy: "", maxPerOwner: 9, maxTotal: 9 };
  await store.subscriptions.open({ ...DURABLE, create, now: T0 });
  return {
    layout,
    path: (name) => join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

const stopped = (layout: StateLayout): AsyncIterable<Uint8Array> =>
  backupStopped(layout.directory, {}, { sealing: { key: KEY }, ...at });

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    () => "nothing",
    (cause: unknown) => (cause instanceof Error && "code" in cause ? cause.code : cause),
  );

describe("a backup", () => {
  test("says what it holds, is private, and leaves nothing else behind", async () => {
    await using state = await filled();
    const before = await readdir(state.layout.directory);
    await using outside = await directoryOf();
    const to = join(outside.path, "b.qmbk");
    const { manifest, bytes } = await writeBackup(to, stopped(state.layout), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    expect(manifest).toMatchObject({ meshName: "harbor", createdAt: at.now, version: "1.2.3" });
    expect(manifest.facts).toMatchObject({
      devices: 1,
      revoked: 1,
      revocationEpoch: 1,
      lastOffset: FILLED,
      unfinishedTasks: 1,
    });
    expect((await stat(to)).mode & 0o777).toBe(0o600);
    expect((await stat(to)).size).toBe(bytes);
    expect(await verifyBackup(to, keys)).toEqual(manifest);
    expect(await readdir(outside.path)).toEqual(["b.qmbk"]);
    // Who reads a WAL leaves its files there.
    const after = (await readdir(state.layout.directory)).filter((name) => !/-(?:wal|shm)$/u.test(name));
    expect(after.sort()).toEqual([...before, "gateway.lock"].sort());
  });

  test("holds no key and no name that can be read without its own key", async () => {
    await using state = await filled();
    await using outside = await directoryOf();
    const to = join(outside.path, "b");
    await writeBackup(to, stopped(state.layout), { key: KEY, replace: false, state: state.layout.directory });
    const bytes = await readFile(to, "latin1");
    for (const word of ["PRIVATE KEY", "harbor", "SQLite format", "name-A"]) expect(bytes).not.toContain(word);
  });

  test("takes the place of nothing without being told to", async () => {
    await using state = await filled();
    const to = state.path("b.qmbk");
    await writeFile(to, "precious");
    expect(
      await codeOf(writeBackup(to, stopped(state.layout), { key: KEY, replace: false, state: state.layout.directory })),
    ).toBe("BACKUP_EXISTS");
    expect(await readFile(to, "utf8")).toBe("precious");
    await writeBackup(to, stopped(state.layout), { key: KEY, replace: true, state: state.layout.directory });
    expect((await verifyBackup(to, keys)).meshName).toBe("harbor");
  });

  test("that fails, or reads back damaged, gets no name and leaves nothing", async () => {
    await using state = await filled();
    await using outside = await directoryOf();
    const to = join(outside.path, "b");
    async function* damaged(): AsyncGenerator<Uint8Array> {
      for await (const piece of stopped(state.layout)) {
        const copy = Uint8Array.from(piece);
        if (copy.length > 1000) copy[500] = (copy[500] ?? 0) ^ 1;
        yield copy;
      }
    }
    async function* noRoom(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    }
    async function* broken(): AsyncGenerator<Uint8Array> {
      for await (const piece of stopped(state.layout)) {
        yield piece;
        throw new Error("the gateway went away");
      }
    }
    expect(await codeOf(writeBackup(to, damaged(), { key: KEY, replace: false, state: state.layout.directory }))).toBe(
      "BACKUP_DAMAGED",
    );
    await expect(
      writeBackup(to, broken(), { key: KEY, replace: false, state: state.layout.directory }),
    ).rejects.toThrow("went away");
    // What is full is where it goes, not the state: --state is nothing to change.
    const full = writeBackup(to, noRoom(), { key: KEY, replace: false, state: state.layout.directory });
    await expect(full).rejects.toMatchObject({
      code: "BACKUP_NOT_WRITTEN",
      message: `there is no room for ${to}: the disk is full`,
    });
    const nowhere = writeBackup(state.path("none/b"), noRoom(), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    await expect(nowhere).rejects.toMatchObject({ code: "BACKUP_NOT_WRITTEN" });
    expect(await readdir(outside.path)).toEqual([]);
  });

  test("of a store that is being written is of one moment, and keeps nobody waiting", async () => {
    await using state = await filled();
    await using store = await openSqliteStore({ path: state.layout.database, generationPath: state.layout.generation });
    const { keys: sealed } = await openAuthority(state.layout, { meshName: "", now: T0 });
    const writing = new AbortController();
    let next = 11;
    const writer = (async () => {
      while (!writing.signal.aborted) {
        await store.events.append({
          deviceId: A,
          outboxEpoch: epochOf(1),
          first: next,
          events: eventsOf(next, 50),
          now: T0,
        });
        next += 50;
      }
    })();
    const stream = createBackup({ layout: state.layout, keys: sealed, sealing: { key: KEY }, ...at });
    const { manifest } = await writeBackup(state.path("b"), stream, {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    writing.abort();
    await writer;
    expect((manifest.facts.lastOffset - FILLED) % 50).toBe(0);
    // Of what the device has sent all is there, and the event of the revocation.
    expect((await store.events.bounds()).latest).toBe(next);
    expect(manifest.facts.lastOffset).toBeLessThanOrEqual(next);
  });

  test("of a state that a gateway uses is not made past it", async () => {
    await using state = await filled();
    await using _lock = await StateLock.acquire(state.layout);
    const to = state.path("b");
    expect(
      await codeOf(writeBackup(to, stopped(state.layout), { key: KEY, replace: false, state: state.layout.directory })),
    ).toBe("GATEWAY_ALREADY_RUNNING");
  });

  test("whose database is damaged inside its seal is refused", async () => {
    await using state = await filled();
    const { keys: sealed } = await openAuthority(state.layout, { meshName: "", now: T0 });
    const page = 4096;
    const bytes = await readFile(state.layout.database);
    bytes.fill(0xff, page * 3, page * 4);
    await writeFile(state.layout.database, bytes);
    const stream = createBackup({ layout: state.layout, keys: sealed, sealing: { key: KEY }, ...at });
    expect(
      await codeOf(writeBackup(state.path("b"), stream, { key: KEY, replace: false, state: state.layout.directory })),
    ).toMatch(/STORE_CORRUPT|BACKUP_DAMAGED/u);
  });
});

describe("a restore", () => {
  test("gives back the same mesh under another seal, with what was there", async () => {
    await using state = await filled();
    const mesh = (await openAuthority(state.layout, { meshName: "", now: T0 })).authority;
    const to = state.path("b");
    const parameters = newPassphraseParameters({ memoryKib: 64, passes: 1, lanes: 1 });
    const key = await deriveSealingKey(new Secret("one two three four"), parameters);
    const sealing = { key, parameters };
    await writeBackup(to, backupStopped(state.layout.directory, {}, { sealing, ...at }), {
      key,
      replace: false,
      state: state.layout.directory,
    });
    await using place = await directoryOf();
    const directory = join(place.path, "state");
    const manifest = await restoreGateway({
      file: to,
      keys: async (asked) => {
        if (asked.kind !== "passphrase") throw new Error("no passphrase was asked for");
        return await deriveSealingKey(new Secret("one two three four"), asked.parameters);
      },
      directory,
      now: T0 + 9000,
    });
    expect(manifest.facts.lastOffset).toBe(FILLED);
    expect(await readdir(place.path)).toEqual(["state"]);
    const layout = stateLayout(directory);
    expect((await readdir(directory)).sort()).toEqual(["authority", "authority.key", "gateway.sqlite", "generation"]);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(layout.database)).mode & 0o777).toBe(0o600);
    const keyHere = await readKeyFile(layout.authorityKey);
    expect(keyHere.key.reveal()).not.toEqual((await readKeyFile(state.layout.authorityKey)).key.reveal());
    const store = await KeyStore.open(layout.authority, { key: keyHere });
    expect(await store.names()).toEqual(["authority", "root-key"]);
    expect((await Authority.open({ store })).meshId).toBe(mesh.meshId);
  });

  test("gives nothing out again that the other life may have given out", async () => {
    await using state = await filled();
    await writeBackup(state.path("b"), stopped(state.layout), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    const directory = state.path("restored");
    await restoreGateway({ file: state.path("b"), keys, directory, now: T0 + 9000 });
    const layout = stateLayout(directory);
    await using old = await openSqliteStore({ path: state.layout.database });
    await using store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
    expect(store.meta.logId).not.toBe(old.meta.logId);
    const [before, after] = [await old.devices.get(A), await store.devices.get(A)];
    expect(after?.sessionEpoch).toBeGreaterThan((before?.sessionEpoch ?? 0) + 1_000_000);
    // What a consumer read in the other life it cannot acknowledge in this one.
    const stale = store.subscriptions.acknowledge({ ...DURABLE, epoch: 1, offset: 5, now: T0 });
    await expect(stale).rejects.toMatchObject({ code: "SUBSCRIPTION_TAKEN" });
    // Its join token turned since the backup: whatever it shows is taken.
    const shown = new Uint8Array(16).fill(9);
    const opened = await store.sessions.open({ ...sessionInput(A), join: { shown, fresh: JOIN } });
    expect([opened.frozen, opened.ackedSeq]).toEqual([false, 10]);
    const lease = { kind: "lease", device: A, now: T0 } as const;
    const input = { taskId: TASK, inputs: [lease], leaseMs: 30_000, now: T0 };
    expect((await old.tasks.step(input))?.task.token).toBe(1);
    expect((await store.tasks.step(input))?.task.token).toBeGreaterThan(1_000_000);
    expect(await old.sessions.open({ ...sessionInput(A), join: { shown, fresh: JOIN } })).toMatchObject({
      frozen: true,
    });
    expect(await store.devices.revocationEpoch()).toBe(1);
  });

  test("closes pairing windows: what was used up, cancelled or denied since would be open again", async () => {
    await using state = await filled();
    {
      await using store = await openSqliteStore({ path: state.layout.database });
      const window = { windowId: "w", codeId: "c", state: "open", openedAt: T0, expiresAt: T0 + 9_000_000 };
      const sealed = { failures: 0, usesLeft: 3, sealedCode: new Uint8Array(9), body: `{"preapproved":true}` };
      await store.pairing.putWindow({ ...window, ...sealed });
      const request = { windowId: "w", requestedAt: T0, updatedAt: T0, deviceId: undefined, body: "{}" };
      for (const name of ["pending", "approved", "issued"])
        await store.pairing.putRequest({ ...request, requestId: name, state: name });
    }
    await writeBackup(state.path("b"), stopped(state.layout), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    const directory = state.path("restored");
    await restoreGateway({ file: state.path("b"), keys, directory, now: T0 + 9000 });
    await using store = await openSqliteStore({ path: stateLayout(directory).database });
    expect(await store.pairing.window("w")).toMatchObject({ state: "closed", sealedCode: undefined });
    const states = await Promise.all(["pending", "approved", "issued"].map((id) => store.pairing.request(id)));
    expect(states.map((row) => row?.state)).toEqual(["expired", "expired", "issued"]);
  });

  test("removes what an earlier one to this place left when it was killed, and nothing else", async () => {
    await using state = await filled();
    await writeBackup(state.path("b"), stopped(state.layout), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    await using place = await directoryOf();
    // No process has the first number; ours is alive.
    const dead = "state.restoring-2147483647-0123456789ab";
    const others = [
      `state.restoring-${process.pid}-0123456789ab`,
      "state.restoring-mine",
      "other.restoring-2147483647-0123456789ab",
    ];
    for (const name of [dead, ...others]) {
      await mkdir(join(place.path, name));
      await writeFile(join(place.path, name, "authority.key"), "secret");
    }
    await restoreGateway({ file: state.path("b"), keys, directory: join(place.path, "state"), now: T0 });
    expect((await readdir(place.path)).sort()).toEqual([...others, "state"].sort());
    const [gone, kept] = [2147483647, process.pid].map((pid) => join(tmpdir(), `quaymesh-verify-${pid}-abc123`));
    if (gone === undefined || kept === undefined) throw new Error("no paths");
    for (const path of [gone, kept]) await mkdir(path, { recursive: true });
    await verifyBackup(state.path("b"), keys);
    expect(await stat(gone).catch(() => "gone")).toBe("gone");
    expect((await stat(kept)).isDirectory()).toBe(true);
    await rm(kept, { recursive: true });
  });

  test("goes into an empty directory or none, and never over anything", async () => {
    await using state = await filled();
    await writeBackup(state.path("b"), stopped(state.layout), {
      key: KEY,
      replace: false,
      state: state.layout.directory,
    });
    await using place = await directoryOf();
    const options = { file: state.path("b"), keys, now: T0 };
    await restoreGateway({ ...options, directory: place.path });
    expect(await codeOf(restoreGateway({ ...options, directory: place.path }))).toBe("STATE_NOT_EMPTY");
    const missing = join(place.path, "not", "there");
    expect(await codeOf(restoreGateway({ ...options, directory: missing }))).toBe("STATE_MISSING");
  });

  test("of what is damaged, cut off, sealed by another key or no backup leaves no directory", async () => {
    await using state = await filled();
    const file = state.path("b");
    await writeBackup(file, stopped(state.layout), { key: KEY, replace: false, state: state.layout.directory });
    await using place = await directoryOf();
    const whole = await readFile(file);
    const restored = async (bytes: Uint8Array, key = KEY): Promise<unknown> => {
      await writeFile(join(place.path, "changed"), bytes);
      const directory = join(place.path, "state");
      const code = await codeOf(
        restoreGateway({ file: join(place.path, "changed"), keys: () => Promise.resolve(key), directory, now: T0 }),
      );
      expect(await readdir(place.path)).toEqual(["changed"]);
      return code;
    };
    const flipped = Uint8Array.from(whole);
    flipped[whole.length - 100] = (flipped[whole.length - 100] ?? 0) ^ 4;
    expect(await restored(flipped)).toBe("BACKUP_DAMAGED");
    expect(await restored(whole.subarray(0, whole.length - 1))).toBe("BACKUP_DAMAGED");
    // A whole number of chunks: only the mark of the last one tells.
    expect(await restored(whole.subarray(0, 94 + 65_552))).toBe("BACKUP_DAMAGED");
    expect(await restored(whole, sealingKey(new Uint8Array(32)))).toBe("BACKUP_KEY_WRONG");
    expect(await restored(new TextEncoder().encode("PK: something else altogether".repeat(10)))).toBe("BACKUP_DAMAGED");
    await copyFile(file, join(place.path, "changed"));
    await restoreGateway({ file: join(place.path, "changed"), keys, directory: join(place.path, "state"), now: T0 });
    expect(await codeOf(verifyBackup(join(place.path, "none"), keys))).toBe("BACKUP_NOT_FOUND");
  });
});

async function directoryOf(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-restore-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
