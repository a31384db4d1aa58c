import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AsyncQueue } from "../src/async-queue.ts";

const END = { done: true, value: undefined };

test("items come out in order, each once, whether the consumer asked before they came or after", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean()), async (pushes) => {
      const queue = new AsyncQueue<number>();
      const taken: (number | undefined)[] = [];
      let asked: ReturnType<typeof queue.next> | undefined;
      let pushed = 0;
      for (const isPush of pushes) {
        if (isPush) expect(queue.push(pushed++)).toBe(true);
        else {
          const hasAnswer = pushed > taken.length;
          if (asked !== undefined && !hasAnswer) continue;
          if (asked !== undefined) taken.push((await asked).value);
          asked = queue.next();
        }
      }
      queue.end();
      const last = await asked;
      if (last !== undefined && last.done !== true) taken.push(last.value);
      for await (const item of queue) taken.push(item);
      expect(taken).toEqual(Array.from({ length: pushed }, (_, index) => index));
    }),
  );
});

test("what was pushed before the end is given out after it, and nothing can be pushed any more", async () => {
  const queue = new AsyncQueue<string>();
  queue.push("last");
  queue.end();
  expect(queue.push("too late")).toBe(false);
  expect(await queue.next()).toEqual({ done: false, value: "last" });
  expect(await queue.next()).toEqual(END);
});

test("an abandoned queue gives back what nobody took, and lets go whoever waits", async () => {
  const full = new AsyncQueue<string>();
  full.push("one");
  full.push("two");
  expect(full.abandon()).toEqual(["one", "two"]);
  expect(full.push("three")).toBe(false);
  expect(await full.next()).toEqual(END);
  const empty = new AsyncQueue<string>();
  const waiting = empty.next();
  expect(empty.abandon()).toEqual([]);
  expect(await waiting).toEqual(END);
});

test("who asks again before there was an answer is answered after it", async () => {
  const queue = new AsyncQueue<string>();
  const asked = [queue.next(), queue.next()];
  queue.push("one");
  queue.push("two");
  queue.end();
  expect((await Promise.all(asked)).map(({ value }) => value)).toEqual(["one", "two"]);
  expect(await queue.next()).toEqual(END);
});

test("leaving the loop is told", async () => {
  let left = 0;
  const queue = new AsyncQueue<string>(() => (left += 1));
  queue.push("one");
  for await (const item of queue) if (item === "one") break;
  expect(left).toBe(1);
});
