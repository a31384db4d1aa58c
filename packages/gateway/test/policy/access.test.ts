import type { LoggedEvent } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { mayRead } from "../../src/policy/may-read.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/policy/policy.ts";
import type { LogFilter } from "../../src/store/port-events.ts";
import type { Store } from "../../src/store/port.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

async function setPolicy({ store }: TestGateway, policy: Policy): Promise<number> {
  const expected = (await store.policies.current())?.version ?? 0;
  const row = await store.policies.put({ expected, body: JSON.stringify(policy), setBy: "tests", now: Date.now() });
  return row.version;
}

const only = (kind: string): Policy => ({ rules: [{ readers: ["any"], kinds: [kind], devices: ["any"] }] });
const NOTHING: Policy = { rules: [] };

test("a policy is in force for what is read already and not yet sent", async () => {
  let gate: Promise<void> | undefined;
  const wrapStore = (store: Store): Store => ({
    ...store,
    events: {
      ...store.events,
      async read(input) {
        const page = await store.events.read(input);
        await gate;
        return page;
      },
    },
  });
  await using gateway = await testGateway({ wrapStore });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const subscription = await node.subscribe();
  await subscription.next();
  await subscription.next();
  const held = Promise.withResolvers<void>();
  gate = held.promise;
  await publisher.publish(1, [...ticks(1, 2, "secret"), ...ticks(3, 1, "open")]);
  await setPolicy(gateway, only("open"));
  held.resolve();
  expect((await subscription.events(1)).map(({ kind }) => kind)).toEqual(["open"]);
});

test("a label that is taken away takes what it gave, from a subscription that runs too", async () => {
  await using gateway = await testGateway();
  const [a, b] = [await gateway.enroll("a"), await gateway.enroll("b", ["events-reader"])];
  const [writer, reader] = [await gateway.connect(a), await gateway.connect(b)];
  const publisher = await writer.publish();
  const subscription = await reader.subscribe();
  await publisher.publish(1, ticks(1, 3));
  expect(await subscription.events(3)).toHaveLength(3);
  await relabel(gateway, b, []);
  await publisher.publish(4, ticks(4, 3));
  for (;;) {
    const message = await subscription.next();
    expect(message.type).not.toBe("events");
    if (message.type === "caught-up" && message.offset === 6) break;
  }
});

test("a revoked device's subscription ends with it, and its durable ones are gone", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const subscription = await node.subscribe({ durable: { name: "mine" } });
  await subscription.next();
  await gateway.core.devices.revoke(device, { reason: "sold" });
  const end = (async () => {
    for (;;) await subscription.next();
  })();
  await expect(end).rejects.toMatchObject({ name: "TransportError" });
  expect(await gateway.store.subscriptions.list({})).toEqual([]);
});

test("nodes hear of a policy at their welcome and when it changes, each of its own part", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  expect(node.welcome.policyVersion).toBe(0);
  await setPolicy(gateway, DEFAULT_POLICY);
  expect(await node.nextControl()).toEqual({ type: "policy", version: 1, policy: { read: [{ devices: [device] }] } });
  await node.control.send({ type: "policy.applied", version: 1 });
  await node.close();
  await gateway.restart();
  const again = await gateway.connect(device);
  expect(again.welcome.policyVersion).toBe(1);
  expect(await again.nextControl()).toMatchObject({ type: "policy", version: 1 });
});

test("no event reaches a reader that no policy in force since it could be read would show it", async () => {
  const kinds = ["a", "b", "c"];
  const policy = fc.oneof(
    fc.constantFrom(DEFAULT_POLICY, NOTHING),
    fc.constantFrom(...kinds).map(only),
    fc.constantFrom("x", "y").map((label): Policy => ({
      rules: [{ readers: [`label:${label}`], kinds: ["*"], devices: ["any"] }],
    })),
    fc.constantFrom("x", "y").map((label): Policy => ({
      rules: [{ readers: ["any"], kinds: ["a", "b"], devices: [`label:${label}`] }],
    })),
  );
  const step = fc.oneof(
    policy.map((to) => ({ kind: "policy" as const, to })),
    fc.record({
      kind: fc.constant("relabel" as const),
      who: fc.constantFrom("reader", "writer"),
      labels: fc.subarray(["x", "y", "events-reader"]),
    }),
    fc.record({
      kind: fc.constant("publish" as const),
      of: fc.constantFrom(...kinds),
      count: fc.integer({ min: 1, max: 5 }),
    }),
    fc.constant({ kind: "subscribe" as const }),
    fc.constant({ kind: "pause" as const }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      await using gateway = await testGateway({ wrapStore: dawdling });
      const [writerId, readerId] = [await gateway.enroll("w"), await gateway.enroll("r")];
      const [writer, reader] = [await gateway.connect(writerId), await gateway.connect(readerId)];
      const publisher = await writer.publish();
      const labels = { writer: [] as string[], reader: [] as string[] };
      let current: Policy = DEFAULT_POLICY;
      // What the reader might see, from each moment on; one more with each change.
      const views: ((event: LoggedEvent) => boolean)[] = [];
      const look = () => {
        const grants = mayRead(current, { deviceId: readerId, labels: labels.reader });
        const labelled = [...labels.writer];
        views.push((event) => grants.some((grant) => passes(grant, event, labelled)));
      };
      look();
      const since: number[] = [];
      const problems: string[] = [];
      const reading: Promise<void>[] = [];
      let seq = 1;
      for (const it of steps) {
        switch (it.kind) {
          case "policy":
            await setPolicy(gateway, (current = it.to));
            look();
            break;
          case "relabel":
            labels[it.who === "reader" ? "reader" : "writer"] = it.labels;
            await relabel(gateway, it.who === "reader" ? readerId : writerId, it.labels);
            look();
            break;
          case "publish": {
            for (let index = 0; index < it.count; index += 1) since[seq + index] = views.length - 1;
            const events = ticks(seq, it.count, it.of);
            seq += it.count;
            await publisher.publish(seq - it.count, events);
            break;
          }
          case "subscribe": {
            const opened = views.length - 1;
            const subscription = await reader.subscribe();
            reading.push(
              (async () => {
                for (;;) {
                  const message = await subscription.next();
                  if (message.type !== "events") continue;
                  for (const event of message.events) {
                    const from = Math.max(opened, since[event.seq] ?? 0);
                    if (!views.slice(from).some((sees) => sees(event))) problems.push(`${event.kind} ${event.offset}`);
                  }
                }
              })().catch(() => undefined),
            );
            break;
          }
          case "pause":
            await reader.heartbeat(seq + 1000 * reading.length);
            break;
          default:
            it satisfies never;
        }
      }
      await reader.heartbeat(1);
      await reader.close();
      await Promise.all(reading);
      expect(problems).toEqual([]);
    }),
    { numRuns: 10 },
  );
}, 300_000);

function passes(grant: LogFilter, event: LoggedEvent, labels: readonly string[]): boolean {
  const { kinds, devices, labels: wanted } = grant;
  return (
    (kinds === undefined || kinds.includes(event.kind)) &&
    (devices === undefined || devices.includes(event.device)) &&
    (wanted === undefined || wanted.some((label) => labels.includes(label)))
  );
}

/** Pages take a few turns more, so that much may happen between a read and its sending. */
function dawdling(store: Store): Store {
  let turns = 0;
  const read: Store["events"]["read"] = async (input) => {
    const page = await store.events.read(input);
    turns = (turns + 7) % 12;
    for (let left = turns; left > 0; left -= 1) await store.events.bounds();
    return page;
  };
  return { ...store, events: { ...store.events, read } };
}

let serials = 0;

async function relabel(gateway: TestGateway, deviceId: string, labels: readonly string[]): Promise<void> {
  const device = await gateway.store.devices.get(deviceId);
  if (device === undefined) throw new Error("no such device");
  const { spkiSha256 } = device;
  serials += 1;
  const times = { notBefore: 0, notAfter: 4_000_000_000_000, issuedAt: serials };
  const certificate = {
    serial: `again-${serials}`,
    deviceId,
    spkiSha256,
    ...times,
    state: "active",
    chain: [],
  } as const;
  await gateway.store.devices.enroll({
    deviceId,
    name: "again",
    labels,
    purpose: "",
    platform: "",
    certificate,
    now: 1,
  });
}
