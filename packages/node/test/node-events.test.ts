import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { decodeValue } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { Node, type NodeEvent, type NodeLogLine } from "../src/index.ts";
import { temporaryDirectory } from "./support/paired-state.ts";
import { eagerClock, openScene, untilState } from "./support/scene.ts";

const numbers = (events: readonly { readonly data: Uint8Array }[]): unknown[] =>
  events.map(({ data }) => decodeValue(data));

describe("publishing", () => {
  it("numbers what it records and tells when the gateway has it", async () => {
    await using it = await openScene();
    expect(await it.node.publish("sensor.reading", { celsius: 21.5 })).toBe(1);
    expect(it.node.unacknowledged).toBe(1);
    const acknowledged = it.node.acknowledged(1);
    await it.start();
    await acknowledged;
    expect(it.node.unacknowledged).toBe(0);
    expect(it.gateway.events.map(({ kind }) => kind)).toEqual(["sensor.reading"]);
    expect(numbers(it.gateway.events)).toEqual([{ celsius: 21.5 }]);
  });

  it("gathers events that come together into batches of a hundred", async () => {
    await using it = await openScene();
    await it.start();
    await Promise.all(Array.from({ length: 1000 }, (_, index) => it.node.publish("n", index)));
    await it.node.acknowledged(1000);
    expect(numbers(it.gateway.events)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    expect(it.gateway.batches).toBeLessThanOrEqual(20);
  });

  it("sends at once when it is asked to", async () => {
    await using it = await openScene({ clock: { ...eagerClock, sleep: neverUnlessAborted } });
    await it.start();
    await it.node.publish("now", 1, { flush: true });
    await it.node.acknowledged(1);
  });

  it("loses nothing and doubles nothing when the connection is cut again and again", async () => {
    await using it = await openScene();
    await it.start();
    for (let round = 0; round < 10; round++) {
      it.gateway.behaviour.acknowledges = round % 2 === 0;
      await Promise.all(Array.from({ length: 50 }, (_, index) => it.node.publish("n", round * 50 + index)));
      const sessions = it.gateway.sessions.length;
      it.network.sever();
      await it.gateway.until(() => it.gateway.sessions.length > sessions);
    }
    it.gateway.behaviour.acknowledges = true;
    await it.node.publish("n", 500, { flush: true });
    it.network.sever();
    await it.node.acknowledged(501);
    expect(numbers(it.gateway.events)).toEqual(Array.from({ length: 501 }, (_, index) => index));
  });

  it("goes on from the last acknowledged event after a restart", async () => {
    await using it = await openScene();
    await it.start();
    await it.node.publish("n", 1, { flush: true });
    await it.node.acknowledged(1);
    await it.node.stop();
    await it.open();
    expect(await it.node.publish("n", 2)).toBe(2);
    await it.start();
    await it.node.acknowledged(2);
    expect(it.gateway.logs.size).toBe(1);
    expect(numbers(it.gateway.events)).toEqual([1, 2]);
    expect(it.gateway.duplicates).toBe(0);
  });

  it("goes back to where the gateway says that something is missing", async () => {
    await using it = await openScene();
    await it.start();
    await it.node.publish("n", 0, { flush: true });
    await it.node.acknowledged(1);
    it.gateway.behaviour.losesBatches = 2;
    await Promise.all(Array.from({ length: 1000 }, (_, index) => it.node.publish("n", index + 1)));
    await it.node.acknowledged(1001);
    expect(numbers(it.gateway.events)).toEqual(Array.from({ length: 1001 }, (_, index) => index));
  });

  it("hands over what it has before it stops", async () => {
    await using it = await openScene();
    await it.start();
    await it.node.publish("last", 1);
    await it.node.stop();
    expect(it.gateway.events).toHaveLength(1);
    await expect(it.node.publish("late", 2)).rejects.toMatchObject({ code: "NODE_STOPPED" });
  });

  it.each([
    ["an empty kind", "", 1, "OPTIONS_INVALID"],
    ["a long kind", "k".repeat(129), 1, "OPTIONS_INVALID"],
    ["a kind of ours", "task.result", 1, "OPTIONS_INVALID"],
    ["a function", "k", () => 1, "OPTIONS_INVALID"],
    ["more than 64 KiB", "k", new Uint8Array(65_536), "EVENT_TOO_LARGE"],
  ])("refuses %s", async (_, kind, data, code) => {
    await using it = await openScene();
    await expect(it.node.publish(kind, data)).rejects.toMatchObject({ code });
    expect(it.node.unacknowledged).toBe(0);
  });

  it("carries the largest event there may be, many at once", async () => {
    await using it = await openScene();
    await it.start();
    const data = new Uint8Array(65_531).fill(1);
    await Promise.all(Array.from({ length: 20 }, () => it.node.publish("large", data)));
    await it.node.acknowledged(20);
    expect(it.gateway.events).toHaveLength(20);
  });
});

describe("an outbox and a gateway that no longer agree on the past", () => {
  it("go on under a new epoch when the gateway lost what it had acknowledged", async () => {
    const lines: NodeLogLine[] = [];
    await using it = await openScene({ log: (line) => lines.push(line) });
    await it.start();
    await it.node.publish("n", 1, { flush: true });
    await it.node.acknowledged(1);
    it.gateway.logs.clear();
    it.network.sever();
    await it.node.publish("n", 2, { flush: true });
    await it.gateway.until(() => it.gateway.events.length === 1);
    expect(numbers(it.gateway.events)).toEqual([2]);
    expect(it.gateway.logs.size).toBe(2);
    expect(lines.filter(({ event }) => event === "outbox.renumbered")).toMatchObject([{ level: "error" }]);
  });

  it("go on under a new epoch when this disk was put back and then recorded, out of reach, as much as it had lost", async () => {
    await using it = await openScene();
    await it.node.publish("n", "before the backup");
    await it.node.stop();
    const backup = await temporaryDirectory();
    await cp(it.state, backup.path, { recursive: true });
    await it.open();
    await it.start();
    for (const text of ["lost", "lost too"]) await it.node.publish("n", text);
    await it.node.acknowledged(3);
    await it.node.stop();
    await rm(join(it.state, "outbox"), { recursive: true });
    await cp(join(backup.path, "outbox"), join(it.state, "outbox"), { recursive: true });
    await backup[Symbol.asyncDispose]();
    await it.open();
    const after = ["after the backup", "and after", "and after that"];
    for (const text of after) await it.node.publish("n", text);
    await it.start();
    await it.gateway.until(() => numbers(it.gateway.events).includes(after.at(-1)));
    expect(numbers(it.gateway.events)).toEqual(["before the backup", "lost", "lost too", ...after]);
  });

  it.each([
    ["what was recorded before they meet", Promise.resolve()],
    ["what is recorded while they do", undefined],
  ])("go on under a new epoch when this disk was put back to an older state, with %s", async (_, readyAfter) => {
    await using it = await openScene();
    await it.node.publish("n", "before the backup");
    await it.node.stop();
    const backup = await temporaryDirectory();
    await cp(it.state, backup.path, { recursive: true });
    await it.open();
    await it.start();
    for (const text of ["lost", "lost too"]) await it.node.publish("n", text);
    await it.node.acknowledged(3);
    await it.node.stop();
    await rm(join(it.state, "outbox"), { recursive: true });
    await cp(join(backup.path, "outbox"), join(it.state, "outbox"), { recursive: true });
    await backup[Symbol.asyncDispose]();
    const gate = Promise.withResolvers<void>();
    it.gateway.behaviour.readyAfter = readyAfter ?? gate.promise;
    await it.open();
    await it.start();
    const after = ["after the backup", "and after", "and after that"];
    for (const text of after) await it.node.publish("n", text, { flush: true });
    gate.resolve();
    await it.gateway.until(() => numbers(it.gateway.events).includes(after.at(-1)));
    expect(numbers(it.gateway.events)).toEqual([
      "before the backup",
      "lost",
      "lost too",
      "before the backup",
      ...after,
    ]);
  });
});

describe("subscribing", () => {
  it("gives each event once and in order over cut connections, and goes on behind a cursor", async () => {
    await using it = await openScene();
    await it.start();
    for (let index = 0; index < 300; index++) it.gateway.record("n", index);
    const seen: NodeEvent[] = [];
    for await (const event of it.node.subscribe()) {
      seen.push(event);
      if (seen.length % 50 === 0) it.network.sever();
      if (seen.length === 300) break;
    }
    expect(seen.map((event) => event.value())).toEqual(Array.from({ length: 300 }, (_, index) => index));
    const after = seen[249]?.cursor;
    const rest: unknown[] = [];
    for await (const event of it.node.subscribe(after === undefined ? {} : { after })) {
      rest.push(event.value());
      if (rest.length === 50) break;
    }
    expect(rest).toEqual(Array.from({ length: 50 }, (_, index) => 250 + index));
  });

  it("gives more than its credit at once would allow", async () => {
    await using it = await openScene();
    await it.start();
    for (let index = 0; index < 3000; index++) it.gateway.record("n", index);
    let count = 0;
    for await (const event of it.node.subscribe()) {
      expect(event.value()).toBe(count);
      count += 1;
      if (count === 3000) break;
    }
  });

  it("asks for what its filter says, and ends with its signal's reason", async () => {
    await using it = await openScene();
    await it.start();
    const abort = new AbortController();
    const filter = { kinds: ["a*"] };
    const reading = (async () => {
      for await (const _ of it.node.subscribe({ filter, signal: abort.signal }))
        throw new Error("nothing was recorded");
    })();
    await it.gateway.until(() => it.gateway.subscriptions.length === 1);
    expect(it.gateway.subscriptions[0]?.filter).toEqual(filter);
    const ended = expect(reading).rejects.toThrow("enough");
    abort.abort(new Error("enough"));
    await ended;
  });

  it("fails where the gateway has another log than the cursor's", async () => {
    await using it = await openScene();
    await it.start();
    const events = it.node.subscribe({ after: { log: "log-0", offset: 3 } })[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toMatchObject({ code: "LOG_CHANGED", details: { log: "log-1" } });
  });
});

describe("a state directory", () => {
  it("that holds no identity is refused as not paired", async () => {
    const network = createMemoryNetwork();
    const opening = Node.open({ state: "/nonexistent/quaymesh", transport: network });
    await expect(opening).rejects.toMatchObject({ code: "NODE_NOT_PAIRED" });
  });

  it("is taken as it is: the node runs on what a former one left", async () => {
    await using it = await openScene({ listens: false });
    await it.node.publish("n", 1);
    await it.node.stop();
    await it.gateway.open(it.network);
    await it.open();
    await it.start();
    await it.node.acknowledged(1);
    expect(await untilState(it.node, "online")).toMatchObject({ sessionEpoch: 1 });
  });
});

async function neverUnlessAborted(_ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
