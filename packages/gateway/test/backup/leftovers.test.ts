/** What a backup that was killed leaves: its contents lie in the clear nowhere but beside the state itself, and the next takes them away. */
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sealingKey } from "@quaymesh/identity";
import { backupStopped, openSqliteStore, stateLayout, writeBackup } from "@quaymesh/gateway";
import { expect, test, vi } from "vitest";
import { openAuthority } from "../../src/daemon/open-authority.ts";
import { removeLeftovers } from "../../src/daemon/prepare-state.ts";
import { T0 } from "../../../../test/contract/store-fixtures.ts";

const DAY = 86_400_000;
const KEY = sealingKey(new Uint8Array(32).fill(5));

async function directoryOf(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-leftovers-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("a backup is read back in the state directory alone, and takes away what killed ones have left there and at its place", async () => {
  await using place = await directoryOf();
  const state = { layout: stateLayout(place.path) };
  await openAuthority(state.layout, { meshName: "harbor", now: T0 });
  await (await openSqliteStore({ path: state.layout.database, generationPath: state.layout.generation })).close();
  await using outside = await directoryOf();
  await using temporary = await directoryOf();
  const { directory } = state.layout;
  // No process has the first number; ours is alive.
  const [dead, alive] = [2147483647, process.pid];
  const half = (pid: number) => join(outside.path, `.b.tmp-${pid}-0123456789ab`);
  const opened = (pid: number) => join(directory, `.verify-${pid}-abc123`);
  for (const pid of [dead, alive]) {
    await writeFile(half(pid), "half a backup");
    await mkdir(opened(pid));
    await writeFile(join(opened(pid), "gateway.sqlite"), "in the clear");
  }
  await writeFile(join(directory, ".backup-0123456789ab.tmp"), "in the clear");
  vi.stubEnv("TMPDIR", temporary.path);
  await writeBackup(
    join(outside.path, "b"),
    backupStopped(directory, {}, { sealing: { key: KEY }, now: T0, version: "1" }),
    { key: KEY, replace: false, state: directory },
  );
  vi.unstubAllEnvs();
  expect(await readdir(temporary.path)).toEqual([]);
  expect((await readdir(outside.path)).sort()).toEqual([`.b.tmp-${alive}-0123456789ab`, "b"]);
  const left = (await readdir(directory)).filter((name) => name.startsWith("."));
  expect(left).toEqual([`.verify-${alive}-abc123`]);
  await rm(opened(alive), { recursive: true });
  await mkdir(opened(dead));
  await removeLeftovers(state.layout);
  expect((await readdir(directory)).filter((name) => name.startsWith("."))).toEqual([]);
});

test("half backups that do not say whose they are go once they are a day old, and nothing else of like names", async () => {
  await using place = await directoryOf();
  const file = join(place.path, "b");
  const now = Date.now();
  const halves = {
    old: ".b.0123456789ab.tmp",
    young: ".b.0123456789ac.tmp",
    other: ".c.0123456789ab.tmp",
    kept: ".b.notes.tmp",
  };
  for (const name of Object.values(halves)) {
    await writeFile(join(place.path, name), "half a backup");
    const age = name === halves.young ? DAY / 2 : 2 * DAY;
    await utimes(join(place.path, name), new Date(now - age), new Date(now - age));
  }
  const stream: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("no backup")) }),
  };
  await expect(writeBackup(file, stream, { key: KEY, replace: false, state: place.path })).rejects.toThrow("no backup");
  expect((await readdir(place.path)).sort()).toEqual([halves.kept, halves.young, halves.other].sort());
});
