/** Laptops that sleep: what the link of a node does when it finds that its gateway has forgotten it. */
import { expect, test } from "vitest";
import { NodeProcess } from "./node-process.ts";
import { openProxy } from "./proxy.ts";
import { openWorld } from "./world.ts";

const KEEP_ALIVE_MS = 500;
/** What a dial and its first backoff may take on a machine that others use too. */
const REDIAL_MS = 5000;

test("a node whose process slept past the idle timeout is back as soon as it wakes, and has lost nothing", async () => {
  await using world = await openWorld({ host: "127.0.0.1", idleTimeoutMs: 1500 });
  const gateway = { host: "127.0.0.1", port: world.port };
  const timing = { idleTimeoutMs: 30_000, keepAliveMs: KEEP_ALIVE_MS };
  await using node = new NodeProcess({ state: world.state, gateway, ...timing });
  await node.becomes("online");
  await expect.poll(() => world.events(), { timeout: 10_000 }).toBeGreaterThan(0);
  node.sleep();
  await expect.poll(() => world.isOnline(), { timeout: 10_000 }).toBe(false);
  const before = await world.events();
  node.wake();
  expect(await node.becomes("waiting")).toBeLessThan(KEEP_ALIVE_MS + 1000);
  expect(await node.becomes("online")).toBeLessThan(REDIAL_MS);
  await expect.poll(() => world.events(), { timeout: 10_000 }).toBeGreaterThan(before);
});

test("a node that a gateway has forgotten without its hearing of it dials again after the next ping", async () => {
  await using world = await openWorld({ host: "127.0.0.1", idleTimeoutMs: 30_000 });
  await using proxy = await openProxy({ upstreamPort: world.port });
  const gateway = { host: "127.0.0.1", port: proxy.port };
  await using node = new NodeProcess({
    state: world.state,
    gateway,
    idleTimeoutMs: 30_000,
    keepAliveMs: KEEP_ALIVE_MS,
  });
  await node.becomes("online");
  await expect.poll(() => world.isOnline(), { timeout: 10_000 }).toBe(true);
  // A machine whose clock stood still: the gateway's timeout passed, its own did not.
  proxy.lose(1);
  world.accepted.at(-1)?.close(0);
  await world.accepted.at(-1)?.closed;
  await expect.poll(() => world.isOnline(), { timeout: 10_000 }).toBe(false);
  proxy.lose(0);
  expect(await node.becomes("waiting")).toBeLessThan(KEEP_ALIVE_MS + 3000);
  expect(await node.becomes("online")).toBeLessThan(REDIAL_MS);
});
