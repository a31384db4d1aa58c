import type { Credentials } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import { keepLeaf, type LeafCredentials } from "../../src/leaf-clock.ts";
import { silentLogger } from "../../src/logger.ts";
import { FakeClock } from "../support/fake-clock.ts";

const DAY = 86_400_000;
const leaf = (name: string, renewAt: number): LeafCredentials => ({
  credentials: { keyPem: name, chainPem: name },
  renewAt,
});

/** An endpoint whose certificates live for ten days. */
function scene(next?: (count: number) => Promise<LeafCredentials>) {
  const clock = new FakeClock();
  const used: string[] = [];
  const end = new AbortController();
  let made = 0;
  keepLeaf({
    first: leaf("first", clock.now() + 10 * DAY),
    next: () => next?.(++made) ?? Promise.resolve(leaf(`number ${++made}`, clock.now() + 10 * DAY)),
    use: ({ keyPem }: Credentials) => void used.push(keyPem),
    clock,
    logger: silentLogger,
    signal: end.signal,
  });
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= DAY / 24) {
      clock.advance(Math.min(left, DAY / 24));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  return { clock, used, end, pass };
}

describe("an endpoint's certificate", () => {
  test("is replaced when its time comes, not before, and again", async () => {
    const it = scene();
    await it.pass(10 * DAY - 1);
    expect(it.used).toEqual([]);
    await it.pass(1);
    expect(it.used).toEqual(["number 1"]);
    await it.pass(10 * DAY + DAY / 24);
    expect(it.used).toEqual(["number 1", "number 2"]);
  });

  test("that could not be made is tried again within the hour, and the one in use stays", async () => {
    const it = scene((count) =>
      count === 1 ? Promise.reject(new Error("not now")) : Promise.resolve(leaf(`number ${count}`, 1e15)),
    );
    await it.pass(10 * DAY);
    expect(it.used).toEqual([]);
    await it.pass(DAY / 24);
    expect(it.used).toEqual(["number 2"]);
  });

  test("is left alone once the gateway stops", async () => {
    const it = scene();
    it.end.abort();
    await it.pass(11 * DAY);
    expect(it.used).toEqual([]);
  });
});
