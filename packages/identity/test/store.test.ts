import { chmod, type FileHandle, mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import * as fc from "fast-check";
import {
  createKeyFile,
  KeyStore,
  makePrivateDirectory,
  passphraseSealingKey,
  readKeyFile,
  sealingKey,
  Secret,
  writeFileAtomic,
} from "@quaymesh/identity";
import { describe, expect, test, vi } from "vitest";
import { seal, unseal } from "../src/store/sealed-file.ts";
import { expectCode, TemporaryDirectory } from "./support.ts";

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
const bytes = (...values: number[]): Secret<Uint8Array> => new Secret(Uint8Array.from(values));

async function openStore(directory: string): Promise<KeyStore> {
  return await KeyStore.open(join(directory, "keys"), { key: await createKeyFile(join(directory, "key")) });
}

describe("the sealed store", () => {
  test("gives back what was put, under 0600 in a 0700 directory, and leaves no temporary file", async () => {
    await using temporary = await TemporaryDirectory.open();
    const store = await openStore(temporary.path);
    await store.put("root-key", bytes(1, 2, 3));
    await store.put("root-key", bytes(4, 5, 6));
    await store.put("text", new Secret("grüße"));
    expect([...(await store.get("root-key")).reveal()]).toEqual([4, 5, 6]);
    expect((await store.getText("text")).reveal()).toBe("grüße");
    expect(await store.names()).toEqual(["root-key", "text"]);
    expect(await modeOf(store.directory)).toBe(0o700);
    expect(await modeOf(join(store.directory, "root-key.sealed"))).toBe(0o600);
    expect(await modeOf(join(temporary.path, "key"))).toBe(0o600);
    expect((await readdir(store.directory)).sort()).toEqual(["root-key.sealed", "text.sealed"]);
    await store.delete("text");
    await store.delete("text");
    expect(await store.has("text")).toBe(false);
  });

  test("keeps nothing readable on disk", async () => {
    await using temporary = await TemporaryDirectory.open();
    const store = await openStore(temporary.path);
    await store.put("a", new Secret("-----BEGIN PRIVATE KEY-----"));
    expect((await readFile(join(store.directory, "a.sealed"))).includes("PRIVATE")).toBe(false);
  });

  test("tells a missing file, a wrong key, a changed file and an open mode apart", async () => {
    await using temporary = await TemporaryDirectory.open();
    const store = await openStore(temporary.path);
    await store.put("a", bytes(1));
    await expectCode("STORE_MISSING", () => store.get("b"));
    const wrong = await KeyStore.open(store.directory, { key: sealingKey(new Uint8Array(32)) });
    await expectCode("STORE_KEY_WRONG", () => wrong.get("a"));
    const path = join(store.directory, "a.sealed");
    await chmod(path, 0o640);
    const error = await expectCode("STORE_PERMISSIONS", () => store.get("a"));
    expect(error.message).toContain("0640");
    await chmod(path, 0o600);
    await writeFile(path, "");
    await expectCode("STORE_TAMPERED", () => store.get("a"));
  });

  test("refuses a file that was put under another name", async () => {
    await using temporary = await TemporaryDirectory.open();
    const store = await openStore(temporary.path);
    await store.put("a", bytes(1));
    await writeFile(join(store.directory, "b.sealed"), await readFile(join(store.directory, "a.sealed")), {
      mode: 0o600,
    });
    await expectCode("STORE_TAMPERED", () => store.get("b"));
  });

  test("refuses a directory that others can enter", async () => {
    await using temporary = await TemporaryDirectory.open();
    const directory = join(temporary.path, "open");
    await mkdir(directory);
    await chmod(directory, 0o755);
    await expectCode("STORE_PERMISSIONS", () => makePrivateDirectory(directory));
    await expectCode("STORE_PERMISSIONS", () => KeyStore.open(directory, { key: sealingKey(new Uint8Array(32)) }));
  });

  test.each(["../a", "", "A", "a/b", ".hidden", "a".repeat(65)])("does not take %j for a name", async (name) => {
    await using temporary = await TemporaryDirectory.open();
    const store = await openStore(temporary.path);
    await expectCode("VALUE_INVALID", () => store.put(name, bytes(1)));
    await expectCode("VALUE_INVALID", () => store.get(name));
  });
});

describe("a sealed file", () => {
  const key = sealingKey(Uint8Array.from({ length: 32 }, (_, at) => at));

  test("survives no changed bit, no lost byte and no added one", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(), fc.nat(7), (plaintext, where, bit) => {
        const sealed = seal(plaintext, "a", key);
        expect(unseal(sealed, "a", key)).toEqual(plaintext);
        const at = where % sealed.length;
        const changed = Uint8Array.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ (1 << bit);
        const codeOf = (bad: Uint8Array): unknown => {
          try {
            return unseal(bad, "a", key);
          } catch (error) {
            return (error as { code: unknown }).code;
          }
        };
        expect(codeOf(changed)).toBe("STORE_TAMPERED");
        expect(codeOf(sealed.subarray(0, at))).toBe("STORE_TAMPERED");
        expect(codeOf(Uint8Array.of(...sealed, 0))).toBe("STORE_TAMPERED");
      }),
    );
  });

  test("is another one each time, as its nonce is", () => {
    const plaintext = Uint8Array.of(1, 2, 3);
    expect(Buffer.from(seal(plaintext, "a", key)).equals(seal(plaintext, "a", key))).toBe(false);
  });
});

describe("key files", () => {
  test("are never overwritten, and an unsafe or short one is refused", async () => {
    await using temporary = await TemporaryDirectory.open();
    const path = join(temporary.path, "key");
    const made = await createKeyFile(path);
    expect((await readKeyFile(path)).key.reveal()).toEqual(made.key.reveal());
    await expectCode("STORE_EXISTS", () => createKeyFile(path));
    expect((await readdir(temporary.path)).length).toBe(1);
    await chmod(path, 0o644);
    await expectCode("STORE_PERMISSIONS", () => readKeyFile(path));
    await chmod(path, 0o600);
    await writeFile(path, "short");
    await expectCode("STORE_KEY_WRONG", () => readKeyFile(path));
    await expectCode("STORE_MISSING", () => readKeyFile(join(temporary.path, "none")));
  });

  test("a passphrase gives the same key with the same salt, another with another", async () => {
    const salt = new Uint8Array(16);
    const key = await passphraseSealingKey(new Secret("correct horse"), salt);
    const again = await passphraseSealingKey(new Secret("correct horse"), salt);
    const other = await passphraseSealingKey(new Secret("correct horse"), salt.fill(1));
    expect(again.key.reveal()).toEqual(key.key.reveal());
    expect(other.key.reveal()).not.toEqual(key.key.reveal());
    await expectCode("VALUE_INVALID", () => passphraseSealingKey(new Secret("x"), new Uint8Array(8)));
  });
});

describe("an atomic write", () => {
  test("replaces a file with the asked mode, whatever the mode it had", async () => {
    await using temporary = await TemporaryDirectory.open();
    const path = join(temporary.path, "file");
    await writeFile(path, "old", { mode: 0o644 });
    await writeFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect(await modeOf(path)).toBe(0o600);
    await writeFileAtomic(path, "public", { mode: 0o644 });
    expect(await modeOf(path)).toBe(0o644);
  });

  test("is on the disk before it takes the old file's place, and its name is once it has", async () => {
    await using temporary = await TemporaryDirectory.open();
    const path = join(temporary.path, "file");
    await writeFileAtomic(path, "old");
    const seen: { readonly what: string; readonly content: string }[] = [];
    const handle = await open(path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const sync = vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
      const what = (await this.stat()).isDirectory() ? "directory" : "file";
      seen.push({ what, content: await readFile(path, "utf8") });
    });
    try {
      await writeFileAtomic(path, "new");
    } finally {
      sync.mockRestore();
    }
    expect(seen).toEqual([
      { what: "file", content: "old" },
      { what: "directory", content: "new" },
    ]);
  });

  test("on a full disk says that there is no room, and leaves the old file", async () => {
    await using temporary = await TemporaryDirectory.open();
    const path = join(temporary.path, "file");
    await writeFileAtomic(path, "old");
    const handle = await open(path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    const sync = vi.spyOn(prototype, "sync").mockRejectedValue(full);
    try {
      const error = await expectCode("STORE_WRITE_FAILED", () => writeFileAtomic(path, "new"));
      expect(error.message).toContain("no room left");
    } finally {
      sync.mockRestore();
    }
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(temporary.path)).toEqual(["file"]);
  });

  test("that fails leaves the old file and nothing else", async () => {
    await using temporary = await TemporaryDirectory.open();
    const path = join(temporary.path, "taken");
    await mkdir(join(path, "child"), { recursive: true });
    await expectCode("STORE_WRITE_FAILED", () => writeFileAtomic(path, "new"));
    await expectCode("STORE_WRITE_FAILED", () => writeFileAtomic(join(temporary.path, "none", "file"), "new"));
    await expectCode("STORE_EXISTS", () => writeFileAtomic(path, "new", { replace: false }));
    expect(await readdir(temporary.path)).toEqual(["taken"]);
  });
});

describe("a secret", () => {
  const secret = new Secret("hunter2");

  test("prints as [redacted] wherever it goes", () => {
    const holder = { secret, list: [secret] };
    expect(
      `${String(secret)} ${JSON.stringify(holder)} ${inspect(holder, { depth: 9, showHidden: true })}`,
    ).not.toContain("hunter2");
    expect(String(secret)).toBe("[redacted]");
    expect(JSON.stringify({ secret })).toBe('{"secret":"[redacted]"}');
    expect(inspect(secret)).toBe("[redacted]");
    expect(secret.reveal()).toBe("hunter2");
  });

  test("is zeroed and gone once erased", () => {
    const value = Uint8Array.of(1, 2, 3);
    const held = new Secret(value);
    held.erase();
    held.erase();
    expect([...value]).toEqual([0, 0, 0]);
    expect(() => held.reveal()).toThrow(TypeError);
  });
});
