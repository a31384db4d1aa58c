import { cp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import {
  checkPassphraseParameters,
  deriveSealingKey,
  KeyStore,
  newPassphraseParameters,
  planReseal,
  readSealing,
  sealingKey,
  Secret,
  settleReseal,
  writeSealing,
  type SealingKey,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { expectCode, TemporaryDirectory } from "./support.ts";

/** Cheap, for tests alone. */
const COSTS = { memoryKib: 64, passes: 1, lanes: 1 };
const OLD = sealingKey(new Uint8Array(32).fill(1));
const NEW = sealingKey(new Uint8Array(32).fill(2));

async function filled(directory: string): Promise<string> {
  const store = await KeyStore.open(join(directory, "keys"), { key: OLD });
  await store.put("authority", new Secret("the authority"));
  await store.put("root-key", new Secret("the root's key"));
  await writeFile(join(store.directory, "note.json"), "{}", { mode: 0o600 });
  return store.directory;
}

/** What opens with `key`; undefined where nothing does. */
async function opened(directory: string, key: SealingKey): Promise<readonly string[] | undefined> {
  const store = await KeyStore.open(directory, { key });
  try {
    const names = await store.names();
    return await Promise.all(names.map(async (name) => (await store.getText(name)).reveal()));
  } catch {
    return undefined;
  }
}

const WHOLE = ["the authority", "the root's key"];

describe("resealing", () => {
  test("a crash between any two steps leaves what opens wholly with the old key, or wholly with the new one", async () => {
    const outcomes: string[] = [];
    for (let steps = 0; steps <= 5; steps += 1) {
      await using temporary = await TemporaryDirectory.open();
      const directory = await filled(temporary.path);
      const plan = planReseal(directory, OLD, { key: NEW });
      expect(plan).toHaveLength(5);
      for (const step of plan.slice(0, steps)) await step();
      await settleReseal(directory);
      const [old, fresh] = [await opened(directory, OLD), await opened(directory, NEW)];
      expect([old, fresh].filter((each) => each !== undefined)).toEqual([WHOLE]);
      outcomes.push(old === undefined ? "new" : "old");
      expect(await readdir(temporary.path)).toEqual(["keys"]);
      expect(await readFile(join(directory, "note.json"), "utf8")).toBe("{}");
    }
    expect(outcomes).toEqual(["old", "old", "old", "new", "new", "new"]);
  });

  test("a store that was half copied is begun anew", async () => {
    await using temporary = await TemporaryDirectory.open();
    const directory = await filled(temporary.path);
    const half = await KeyStore.open(`${directory}.next`, { key: sealingKey(new Uint8Array(32).fill(9)) });
    await half.put("authority", new Secret("half"));
    for (const step of planReseal(directory, OLD, { key: NEW })) await step();
    expect(await opened(directory, NEW)).toEqual(WHOLE);
  });

  test("one wrong key, or one damaged file, and the old store stays as it was", async () => {
    await using temporary = await TemporaryDirectory.open();
    const directory = await filled(temporary.path);
    await cp(directory, join(temporary.path, "before"), { recursive: true });
    const run = async (from: SealingKey): Promise<void> => {
      for (const step of planReseal(directory, from, { key: NEW })) await step();
    };
    await expectCode("STORE_KEY_WRONG", () => run(NEW));
    const path = join(directory, "root-key.sealed");
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expectCode("STORE_TAMPERED", () => run(OLD));
    await settleReseal(directory);
    expect(await readFile(join(directory, "authority.sealed"))).toEqual(
      await readFile(join(temporary.path, "before", "authority.sealed")),
    );
  });

  test("to a passphrase and back to a key, the header comes and goes with the sealed files", async () => {
    await using temporary = await TemporaryDirectory.open();
    const directory = await filled(temporary.path);
    const parameters = newPassphraseParameters(COSTS);
    const key = await deriveSealingKey(new Secret("correct horse"), parameters);
    for (const step of planReseal(directory, OLD, { key, parameters })) await step();
    const sealing = await readSealing(directory);
    if (sealing.kind !== "passphrase") throw new Error("no header");
    expect((await stat(join(directory, "sealing.json"))).mode & 0o777).toBe(0o600);
    const again = await deriveSealingKey(new Secret("correct horse"), sealing.parameters);
    expect(await opened(directory, again)).toEqual(WHOLE);
    const wrong = await deriveSealingKey(new Secret("correct hors"), sealing.parameters);
    expect(await opened(directory, wrong)).toBeUndefined();
    for (const step of planReseal(directory, again, { key: NEW })) await step();
    expect([(await readSealing(directory)).kind, await opened(directory, NEW)]).toEqual(["key", WHOLE]);
  });
});

describe("the header of a passphrase", () => {
  test("gives back what was written, for any parameters within bounds", async () => {
    await using temporary = await TemporaryDirectory.open();
    const parameters = fc.record({
      memoryKib: fc.integer({ min: 128, max: 1_048_576 }),
      passes: fc.integer({ min: 1, max: 32 }),
      lanes: fc.integer({ min: 1, max: 16 }),
      salt: fc.uint8Array({ minLength: 16, maxLength: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(parameters, async (written) => {
        await writeSealing(temporary.path, written);
        expect(await readSealing(temporary.path)).toEqual({ kind: "passphrase", parameters: written });
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    { memoryKib: 1_048_577 },
    { memoryKib: 7 },
    { passes: 33 },
    { passes: 0 },
    { lanes: 17 },
    { lanes: 1.5 },
    { salt: new Uint8Array(15) },
  ])("a hostile one is refused before anything is derived: %o", async (change) => {
    const good = newPassphraseParameters({ memoryKib: 1024, passes: 1, lanes: 1 });
    expect(checkPassphraseParameters(good)).toBe(good);
    await using temporary = await TemporaryDirectory.open();
    await writeSealing(temporary.path, { ...good, ...change });
    await expectCode("STORE_TAMPERED", () => readSealing(temporary.path));
  });

  test.each(["", "{", "[]", "null", '{"format":2,"kind":"passphrase","kdf":"argon2id"}'])(
    "one that is not whole is refused: %s",
    async (text) => {
      await using temporary = await TemporaryDirectory.open();
      await writeFile(join(temporary.path, "sealing.json"), text);
      await expectCode("STORE_TAMPERED", () => readSealing(temporary.path));
    },
  );

  test("a passphrase typed on another keyboard gives the same key", async () => {
    const parameters = newPassphraseParameters(COSTS);
    const composed = await deriveSealingKey(new Secret("gr\u00fc\u00dfe an alle"), parameters);
    const decomposed = await deriveSealingKey(new Secret("gru\u0308\u00dfe an alle"), parameters);
    expect(composed.key.reveal()).toEqual(decomposed.key.reveal());
  });
});
