/** Real partitions: a node in a network namespace of its own, and a cable that can be pulled. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Namespace, whyNoNamespaces } from "./namespaces.ts";
import { NodeProcess } from "./node-process.ts";
import { openWorld, type World } from "./world.ts";

const whyNot = whyNoNamespaces();
if (whyNot !== undefined) console.warn(`skipped: real partitions (${whyNot})`);

const KEEP_ALIVE_MS = 500;
/** What a dial and its backoff may take on a machine that others use too. */
const REDIAL_MS = 8000;

const openScene = async (idleTimeoutMs: number, mtu = 1500) => {
  const namespace = new Namespace();
  namespace.setMtu(mtu);
  const world = await openWorld({ host: namespace.here, idleTimeoutMs });
  const gateway = { host: namespace.here, port: world.port };
  const timing = { idleTimeoutMs, keepAliveMs: KEEP_ALIVE_MS };
  const node = new NodeProcess({ state: world.state, gateway, ...timing }, namespace.prefix);
  return {
    namespace,
    world,
    node,
    [Symbol.asyncDispose]: async () => {
      await node[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
      namespace[Symbol.dispose]();
    },
  };
};

const moreEvents = async (world: World): Promise<void> => {
  const before = await world.events();
  await expect.poll(() => world.events(), { timeout: 10_000 }).toBeGreaterThan(before);
};

describe.skipIf(whyNot !== undefined)("a node in another network namespace", () => {
  test("keeps its session over a cable that was out for less than the idle timeout", async () => {
    await using scene = await openScene(20_000);
    const { namespace, world, node } = scene;
    await node.becomes("online");
    await moreEvents(world);
    const epoch = await world.sessionEpoch();
    namespace.cable("down");
    // How long the cable is out, not a wait for anything.
    await delay(1500);
    namespace.cable("up");
    await moreEvents(world);
    expect(await world.sessionEpoch()).toBe(epoch);
  });

  test("and its gateway both notice a cable that stays out, and it is back soon after, with all it had to say", async () => {
    await using scene = await openScene(2000);
    const { namespace, world, node } = scene;
    await node.becomes("online");
    await moreEvents(world);
    const epoch = await world.sessionEpoch();
    namespace.cable("down");
    await Promise.all([
      expect.poll(() => world.isOnline(), { timeout: 10_000 }).toBe(false),
      expect.soft(node.becomes("waiting")).resolves.toBeLessThan(10_000),
    ]);
    namespace.cable("up");
    expect(await node.becomes("online")).toBeLessThan(REDIAL_MS);
    expect(await world.sessionEpoch()).toBeGreaterThan(epoch);
    await moreEvents(world);
  });

  test("is served over a path with IPv6's smallest MTU, where the system fragments what is longer", async () => {
    await using scene = await openScene(20_000, 1280);
    await scene.node.becomes("online");
    await moreEvents(scene.world);
  });

  test("dials again within a keep-alive when its address is taken away", async () => {
    await using scene = await openScene(30_000);
    const { namespace, world, node } = scene;
    await node.becomes("online");
    await moreEvents(world);
    const epoch = await world.sessionEpoch();
    // In this order: with the first address the system would take the second.
    namespace.removeAddress(2);
    namespace.addAddress(3);
    expect(await node.becomes("waiting")).toBeLessThan(KEEP_ALIVE_MS + 3000);
    expect(await node.becomes("online")).toBeLessThan(REDIAL_MS);
    expect(await world.sessionEpoch()).toBeGreaterThan(epoch);
    await moreEvents(world);
  });
});
