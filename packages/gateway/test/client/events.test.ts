import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, expectTypeOf, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { connect, type EventRecord, type EventStream, type GatewayClient } from "../../src/client/index.ts";
import { serveFakes } from "../api/fake-services.ts";
import { ticks, type FakePublisher } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

interface Scene extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly client: GatewayClient;
  readonly device: string;
  publish(count: number, kind?: string): Promise<void>;
}

/** A gateway's core behind a real admin socket, with a device that publishes. */
async function openScene(labels: readonly string[] = []): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const gateway = stack.use(await testGateway());
  const parts = {
    // Each call goes to the core that runs then.
    get events() {
      return gateway.core.events;
    },
    get devices() {
      return gateway.core.devices;
    },
    get policies() {
      return gateway.core.policies;
    },
  };
  const late = <K extends keyof typeof parts>(key: K): (typeof parts)[K] =>
    new Proxy(parts[key], { get: (_, name) => Reflect.get(parts[key], name) as unknown });
  const api = stack.use(
    await serveFakes({
      parts: () => ({ events: late("events"), devices: late("devices"), policies: late("policies") }),
    }),
  );
  const client = stack.use(await connect({ socket: api.path }));
  const device = await gateway.enroll("a", labels);
  let published = 0;
  let publisher: { of: unknown; it: FakePublisher } | undefined;
  return {
    gateway,
    client,
    device,
    async publish(count, kind) {
      if (publisher?.of !== gateway.core) {
        publisher = { of: gateway.core, it: await (await gateway.connect(device)).publish() };
      }
      await publisher.it.publish(published + 1, ticks(published + 1, count, kind));
      published += count;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function take(events: EventStream, count: number): Promise<readonly EventRecord[]> {
  const taken: EventRecord[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

const offsets = (events: readonly EventRecord[]) => events.map(({ offset }) => offset);
const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("for await (const event of gateway.events({ after }))", () => {
  test("goes on over restarts of the gateway: each event once, in order", async () => {
    await using it = await openScene();
    await it.publish(5);
    const seen: number[] = [];
    for await (const event of it.client.events({ after: 2 })) {
      seen.push(event.offset);
      if (event.offset % 5 === 0 && event.offset < 20) {
        await it.gateway.restart();
        await it.publish(5);
      }
      if (event.offset === 20) break;
    }
    expect(seen).toEqual(upTo(3, 20));
  });

  test("takes a cursor as an event had it, and refuses what is none", async () => {
    await using it = await openScene();
    await it.publish(5);
    const [, second] = await take(it.client.events(), 2);
    expect(second?.cursor).toBe(`${it.gateway.core.events.logId}:2`);
    expect(offsets(await take(it.client.events({ after: second?.cursor ?? "" }), 3))).toEqual([3, 4, 5]);
    await expect(take(it.client.events({ after: "2" }), 1)).rejects.toMatchObject({ code: "CURSOR_INVALID" });
    await expect(take(it.client.events({ after: "other:2" }), 1)).rejects.toMatchObject({ code: "LOG_CHANGED" });
    await it.gateway.store.events.compact({ upTo: 4 });
    await expect(take(it.client.events({ after: 2 }), 1)).rejects.toMatchObject({
      code: "RESUME_COMPACTED",
      metadata: { earliest: "5" },
    });
  });

  test("gives the events of a label, from a time on", async () => {
    await using it = await openScene(["gpu"]);
    await it.publish(3);
    expect(offsets(await take(it.client.events({ filter: { labels: ["gpu"] }, since: 0 }), 3))).toEqual([1, 2, 3]);
    // Nothing is as new: from the end of the log on.
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const later = it.client.events({ since: new Date(Date.now() + 60_000), onCaughtUp: () => resolve() });
    const next = later.next();
    await begun;
    await it.publish(1);
    expect((await next).value).toMatchObject({ offset: 4 });
    await later.return();
    const abort = new AbortController();
    const nobody = it.client.events({
      filter: { labels: ["none"] },
      signal: abort.signal,
      onCaughtUp: () => abort.abort(new Error("nothing was there")),
    });
    await expect(take(nobody, 1)).rejects.toThrow("nothing was there");
  });

  test("gives data as its schema makes it, and says which event does not fit", async () => {
    await using it = await openScene();
    await it.publish(2);
    const schema: StandardSchemaV1<number, string> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value) => (value === 1 ? { value: "one" } : { issues: [{ message: "not one" }] }),
      },
    };
    const events = it.client.events({ schema });
    const first = await events.next();
    if (first.done === true) throw new Error("no event");
    expectTypeOf(first.value.data).toEqualTypeOf<string>();
    expect(first.value.data).toBe("one");
    await expect(events.next()).rejects.toMatchObject({
      code: "EVENT_INVALID",
      message: "event 2 (test.tick): not one",
      metadata: { offset: "2", cursor: `${it.gateway.core.events.logId}:2` },
    });
  });
});

describe("a durable subscription", () => {
  test("acknowledges an event when the loop comes back, and gives again what it did not come back from", async () => {
    await using it = await openScene();
    await it.publish(10);
    expect(offsets(await take(it.client.events({ durable: "export" }), 4))).toEqual([1, 2, 3, 4]);
    expect(await it.client.subscriptions.list()).toMatchObject([
      { name: "export", acked: 3, pending: 7, createdBy: "admin-socket", deviceId: undefined },
    ]);
    await it.gateway.restart();
    expect(offsets(await take(it.client.events({ durable: "export" }), 3))).toEqual([4, 5, 6]);
  });

  test("goes on over a restart of the gateway without giving anything twice", async () => {
    await using it = await openScene();
    await it.publish(6);
    const seen: number[] = [];
    for await (const event of it.client.events({ durable: "export" })) {
      seen.push(event.offset);
      if (event.offset === 4) await it.gateway.restart();
      if (event.offset === 6) break;
    }
    expect(seen).toEqual(upTo(1, 6));
    expect(await it.client.subscriptions.list()).toMatchObject([{ acked: 5 }]);
  });

  test("acknowledges by hand where that is wanted", async () => {
    await using it = await openScene();
    await it.publish(5);
    const events = it.client.events({ durable: "export", manualAck: true });
    const first = await events.next();
    await events.next();
    if (first.done === true) throw new Error("no event");
    await events.acknowledge(first.value);
    expect(await it.client.subscriptions.list()).toMatchObject([{ acked: 1, held: true }]);
    await events.return();
    await expect(it.client.events().acknowledge({ offset: 1 })).rejects.toMatchObject({ code: "SUBSCRIPTION_INVALID" });
  });

  test("acknowledges by hand what its filter hides as well, once all that it was given is done with", async () => {
    await using it = await openScene();
    await it.publish(5);
    const filter = { kinds: ["nothing.like.this"] };
    const { promise: caughtUp, resolve } = Promise.withResolvers<void>();
    const events = it.client.events({ durable: "export", manualAck: true, filter, onCaughtUp: () => resolve() });
    const waiting = events.next().catch(() => undefined);
    await caughtUp;
    await eventually(async () => (await it.client.subscriptions.list()).at(0)?.acked === 5);
    await it.client.subscriptions.remove("export");
    await waiting;
  });

  test("is one consumer's at a time: the one before is told", async () => {
    await using it = await openScene();
    await it.publish(2);
    const loser = it.client.events({ durable: "export" });
    await loser.next();
    await loser.next();
    const waiting = loser.next();
    const told = expect(waiting).rejects.toMatchObject({ code: "SUBSCRIPTION_TAKEN" });
    const winner = it.client.events({ durable: "export", manualAck: true });
    await winner.next();
    await told;
    await winner.return();
  });

  test("a cursor of another log takes no subscription from whoever holds it", async () => {
    await using it = await openScene();
    await it.publish(3);
    const holder = it.client.events({ durable: "export", manualAck: true });
    await holder.next();
    await expect(take(it.client.events({ durable: "export", after: "another:2" }), 1)).rejects.toMatchObject({
      code: "LOG_CHANGED",
    });
    expect((await holder.next()).value).toMatchObject({ offset: 2 });
    await holder.return();
  });

  test("says what is gone, and goes on without only when it is told to", async () => {
    await using it = await openScene();
    await it.publish(10);
    await take(it.client.events({ durable: "export", quota: { maxEvents: 3 } }), 1);
    const floor = await it.gateway.store.subscriptions.floor({ wanted: 6, now: Date.now() });
    expect(floor).toMatchObject({ upTo: 6, lapsed: [{ name: "export", lapsed: { by: "events" } }] });
    await it.gateway.store.events.compact({ upTo: 6 });
    expect(await it.client.subscriptions.list()).toMatchObject([{ lapsed: { by: "events" } }]);
    await expect(take(it.client.events({ durable: "export" }), 1)).rejects.toMatchObject({
      code: "RESUME_COMPACTED",
      metadata: { earliest: "7", acked: "0", lost: "6" },
    });
    const lost: number[] = [];
    const skipping = it.client.events({
      durable: "export",
      skipLost: true,
      onOpened: (opened) => lost.push(opened.lost),
    });
    expect(offsets(await take(skipping, 2))).toEqual([7, 8]);
    expect(lost).toEqual([6]);
  });

  test("can be removed, which its consumer is told", async () => {
    await using it = await openScene();
    await it.publish(1);
    const events = it.client.events({ durable: "export" });
    await events.next();
    const waiting = events.next();
    const told = expect(waiting).rejects.toMatchObject({ code: "SUBSCRIPTION_NOT_FOUND" });
    await it.client.subscriptions.remove("export");
    await told;
    await expect(it.client.subscriptions.remove("export")).rejects.toMatchObject({ code: "SUBSCRIPTION_NOT_FOUND" });
    await expect(take(it.client.events({ durable: "a/b" }), 1)).rejects.toMatchObject({ code: "SUBSCRIPTION_INVALID" });
  });
});

test("the policy is shown, set against its version, and checked for a device before it is", async () => {
  await using it = await openScene(["gpu"]);
  const { policy } = it.client;
  const before = await policy.get();
  expect(before).toMatchObject({ version: 0, setAt: undefined });
  const body = '{"rules":[{"readers":["label:gpu"],"kinds":["a.*"],"devices":["any"]}]}';
  expect(await policy.check("a", { body })).toMatchObject({ deviceName: "a", grants: [{ kinds: ["a.*"] }] });
  expect((await policy.check("a")).grants).toEqual([{ devices: [it.device] }]);
  expect(await policy.set(body, 0)).toMatchObject({ version: 1, body, setBy: "admin-socket" });
  expect((await policy.check("a")).grants).toEqual([{ kinds: ["a.*"] }]);
  await expect(policy.set(body, 0)).rejects.toMatchObject({ code: "POLICY_CHANGED" });
  await expect(policy.set('{"rules":1}', 1)).rejects.toMatchObject({ code: "POLICY_INVALID" });
  expect((await policy.history(5)).map(({ version }) => version)).toEqual([1]);
});
