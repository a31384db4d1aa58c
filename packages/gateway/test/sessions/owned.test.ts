import { expect, test } from "vitest";
import { OwnedTasks } from "../../src/sessions/owned.ts";

test("work that fails is heard once, whether it rejects or throws at once, and the rest goes on", async () => {
  const heard: unknown[] = [];
  const tasks = new OwnedTasks((error) => heard.push(error));
  const done: string[] = [];
  tasks.run(() => Promise.reject(new Error("later")));
  tasks.run(() => {
    throw new Error("at once");
  });
  tasks.run(async () => void done.push("the rest"));
  tasks.run(() => undefined);
  await tasks.settled();
  expect(heard.map(String).toSorted()).toEqual(["Error: at once", "Error: later"]);
  expect(done).toEqual(["the rest"]);
  expect(tasks.size).toBe(0);
});

test("settled waits for what was started meanwhile, and for everybody who waits", async () => {
  const tasks = new OwnedTasks(() => undefined);
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const order: string[] = [];
  tasks.run(async () => {
    await first.promise;
    tasks.run(() => second.promise.then(() => void order.push("second")));
    order.push("first");
  });
  const waiting = [tasks.settled(), tasks.settled()].map((each) => each.then(() => order.push("settled")));
  first.resolve();
  await first.promise;
  second.resolve();
  await Promise.all(waiting);
  expect(order).toEqual(["first", "second", "settled", "settled"]);
});
