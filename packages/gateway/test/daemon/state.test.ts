import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openAuthority } from "../../src/daemon/open-authority.ts";
import { prepareState } from "../../src/daemon/prepare-state.ts";
import { defaultStateDirectory, stateLayout } from "../../src/daemon/state-directory.ts";
import { StateLock } from "../../src/daemon/state-lock.ts";

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-state-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const NOW = 1_800_000_000_000;

describe("the state directory", () => {
  test("is where the environment says, else below the XDG state home, else below the home", () => {
    expect(defaultStateDirectory({ QUAYMESH_STATE: "/srv/q" })).toBe("/srv/q");
    expect(defaultStateDirectory({ QUAYMESH_STATE: "", XDG_STATE_HOME: "/x" })).toBe("/x/quaymesh/gateway");
    expect(defaultStateDirectory({ XDG_STATE_HOME: "not/absolute" })).toBe(
      join(homedir(), ".local/state/quaymesh/gateway"),
    );
  });

  test("is made for its owner alone", async () => {
    await using directory = await temporary();
    const layout = await prepareState(join(directory.path, "state"), { parents: false });
    expect((await stat(layout.directory)).mode & 0o777).toBe(0o700);
    await prepareState(layout.directory, { parents: false });
  });

  test("is not made where its parent is missing, unless it is the default one", async () => {
    await using directory = await temporary();
    const path = join(directory.path, "unmounted", "state");
    await expect(prepareState(path, { parents: false })).rejects.toMatchObject({ code: "STATE_MISSING" });
    expect(await readdir(directory.path)).toEqual([]);
    await prepareState(path, { parents: true });
    expect(await readdir(directory.path)).toEqual(["unmounted"]);
  });

  test("is refused when others can reach it, and left as it is", async () => {
    await using directory = await temporary();
    for (const mode of [0o750, 0o705, 0o701]) {
      await chmod(directory.path, mode);
      await expect(prepareState(directory.path, { parents: false })).rejects.toMatchObject({
        code: "STATE_NOT_PRIVATE",
      });
      expect((await stat(directory.path)).mode & 0o777).toBe(mode);
    }
  });

  test("is refused when it is a file, or below one", async () => {
    await using directory = await temporary();
    const file = join(directory.path, "file");
    await writeFile(file, "precious");
    for (const path of [file, join(file, "state")]) {
      await expect(prepareState(path, { parents: true })).rejects.toMatchObject({ code: "STATE_NOT_A_DIRECTORY" });
    }
    expect(await readFile(file, "utf8")).toBe("precious");
  });

  test("is refused when it cannot be written", async () => {
    // procfs takes no directories, from root neither.
    await expect(prepareState("/proc/quaymesh", { parents: false })).rejects.toMatchObject({
      code: expect.stringMatching(/^STATE_(?:NOT_WRITABLE|MISSING)$/u) as string,
    });
    await expect(prepareState("/sys/kernel/quaymesh", { parents: false })).rejects.toMatchObject({
      code: "STATE_NOT_WRITABLE",
    });
  });
});

describe("the state lock", () => {
  test("says what is in its place where that is no file", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await mkdir(layout.lock);
    await expect(StateLock.acquire(layout)).rejects.toMatchObject({
      code: "STATE_NOT_WRITABLE",
      message: expect.stringContaining("is no file") as string,
    });
  });

  test("keeps a second gateway off, naming the process that has it", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await using lock = await StateLock.acquire(layout);
    await expect(StateLock.acquire(layout)).rejects.toMatchObject({
      code: "GATEWAY_ALREADY_RUNNING",
      metadata: { pid: String(process.pid) },
    });
    expect(lock).toBeDefined();
  });

  test("is free again once let go", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    const lock = await StateLock.acquire(layout);
    await lock[Symbol.asyncDispose]();
    await lock[Symbol.asyncDispose]();
    await using again = await StateLock.acquire(layout);
    expect(again).toBeDefined();
  });

  test("is one process's, and free at once when that process is killed", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    const holder = spawn(
      process.execPath,
      ["-C", "@quaymesh/source", fileURLToPath(new URL("lock-holder.ts", import.meta.url)), directory.path],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    const over = once(holder, "exit");
    try {
      await once(holder.stdout, "data");
      await expect(StateLock.acquire(layout)).rejects.toMatchObject({
        code: "GATEWAY_ALREADY_RUNNING",
        metadata: { pid: String(holder.pid) },
      });
    } finally {
      holder.kill("SIGKILL");
      await over;
    }
    await using lock = await StateLock.acquire(layout);
    expect((await readFile(layout.pid, "utf8")).trim()).toBe(String(process.pid));
    expect(lock).toBeDefined();
  });

  test("of many who want it at once, exactly one gets it", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    const results = await Promise.allSettled(Array.from({ length: 16 }, () => StateLock.acquire(layout)));
    const held = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(held).toHaveLength(1);
    await held[0]?.[Symbol.asyncDispose]();
  });
});

describe("the authority", () => {
  test("is made once and opened from then on", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    const { authority: made } = await openAuthority(layout, { meshName: "harbor", now: NOW });
    const { authority: opened } = await openAuthority(layout, { meshName: "another name", now: NOW });
    expect(opened.meshId).toBe(made.meshId);
    expect(opened.meshName).toBe("harbor");
    for (const path of [layout.authorityKey, join(layout.authority, "authority.sealed")]) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
  });

  test("is completed by the next start when the first was killed anywhere in between", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await openAuthority(layout, { meshName: "harbor", now: NOW });
    // What a kill leaves: the steps in their order, the last one missing, then the last two, …
    await rm(join(layout.authority, "authority.sealed"));
    const { authority: second } = await openAuthority(layout, { meshName: "harbor", now: NOW });
    expect((await openAuthority(layout, { meshName: "harbor", now: NOW })).authority.meshId).toBe(second.meshId);
    await rm(layout.authority, { recursive: true });
    await mkdir(layout.authority, { mode: 0o700 });
    const { authority: third } = await openAuthority(layout, { meshName: "harbor", now: NOW });
    expect(third.meshId).not.toBe(second.meshId);
    await rm(layout.authority, { recursive: true });
    await openAuthority(layout, { meshName: "harbor", now: NOW });
  });

  test("is never replaced where a database says that there was one", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await writeFile(layout.database, "");
    await expect(openAuthority(layout, { meshName: "harbor", now: NOW })).rejects.toMatchObject({
      code: "AUTHORITY_MISSING",
    });
    expect(await readdir(directory.path)).toEqual(["gateway.sqlite"]);
  });

  test("is not opened with another key, nor without one, and nothing is overwritten", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await openAuthority(layout, { meshName: "harbor", now: NOW });
    const sealed = await readFile(join(layout.authority, "authority.sealed"));
    await writeFile(layout.authorityKey, new Uint8Array(32));
    await expect(openAuthority(layout, { meshName: "harbor", now: NOW })).rejects.toMatchObject({
      code: "AUTHORITY_UNREADABLE",
      metadata: { identityCode: "STORE_KEY_WRONG" },
    });
    await rm(layout.authorityKey);
    await expect(openAuthority(layout, { meshName: "harbor", now: NOW })).rejects.toMatchObject({
      code: "AUTHORITY_UNREADABLE",
      metadata: { identityCode: "STORE_MISSING" },
    });
    expect(await readFile(join(layout.authority, "authority.sealed"))).toEqual(sealed);
  });

  test("is refused when its key can be read by others", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await openAuthority(layout, { meshName: "harbor", now: NOW });
    await chmod(layout.authorityKey, 0o644);
    await expect(openAuthority(layout, { meshName: "harbor", now: NOW })).rejects.toMatchObject({
      code: "STATE_NOT_PRIVATE",
    });
  });

  test("is not made under a name that no certificate can carry", async () => {
    await using directory = await temporary();
    const layout = stateLayout(directory.path);
    await expect(openAuthority(layout, { meshName: "a\nb", now: NOW })).rejects.toMatchObject({
      code: "REQUEST_INVALID",
    });
  });
});
