/** NAT rebinding in the middle of transfers, over our own dialer: it does not notice, and the session goes on. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ask } from "../../packages/transport-quic/test/support/mesh.ts";
import { echoBulk, openPair, type Pair } from "./conversation.ts";
import type { RebindOptions } from "./proxy.ts";

const MOVES = 5;
const STEP_BYTES = 300_000;

const echoWhileMoving = async (
  pair: Pair,
  opener: "node" | "gateway",
  to: (move: number) => RebindOptions | Promise<RebindOptions>,
  count = MOVES,
) => {
  const bytes = randomBytes(STEP_BYTES * (count + 1));
  let moves = 0;
  await echoBulk(pair[opener], bytes, (length) => {
    if (moves === count || length < STEP_BYTES * (moves + 1)) return undefined;
    moves += 1;
    return Promise.resolve(to(moves)).then((options) => pair.proxy.rebind(options));
  });
  expect(moves).toBe(count);
};

describe.each(["node", "gateway"] as const)("an echo that the %s asked for", (opener) => {
  test.each<{ readonly how: string; readonly to: (move: number) => RebindOptions }>([
    { how: "port after port", to: () => ({}) },
    { how: "port after port, none of which hears any more", to: () => ({ left: "dead" }) },
    { how: "address after address", to: (move) => ({ host: `127.0.0.${1 + move}`, left: "dead" }) },
    { how: "to and fro", to: (move) => ({ host: `127.0.0.${1 + (move % 2)}`, left: "dead" }) },
  ])("is whole where the node moves $how", async ({ to }) => {
    await using pair = await openPair();
    await echoWhileMoving(pair, opener, to);
    expect(pair.gateway.remoteAddress.host).toBe(to(MOVES).host ?? "127.0.0.1");
  });

  test.each([0.03, 0.05])("is whole where the node moves and %d of all datagrams are lost", async (loss) => {
    await using pair = await openPair();
    pair.proxy.lose(loss);
    await echoWhileMoving(pair, opener, (move) => ({ host: `127.0.0.${1 + (move % 4)}`, left: "dead" }));
  });

  test("is whole where the first datagrams to each new address are lost, its challenges among them", async () => {
    await using pair = await openPair();
    await echoWhileMoving(
      pair,
      opener,
      (move) => {
        pair.proxy.change({ outage: 2 }, "down");
        return { host: `127.0.0.${1 + move}`, left: "dead" };
      },
      2,
    );
  });

  test("is whole where the node moves and the network repeats and reorders datagrams", async () => {
    await using pair = await openPair();
    pair.proxy.change({ duplication: 0.05, reordering: 0.05, delayMs: 5 });
    await echoWhileMoving(pair, opener, (move) => ({ host: `127.0.0.${1 + move}`, left: "dead" }));
  });
});

test("an echo is whole where the node leaves addresses before it can have answered there, and datagrams are lost", async () => {
  await using pair = await openPair();
  pair.proxy.change({ loss: 0.03, delayMs: 2 });
  await echoWhileMoving(pair, "node", async (move) => {
    await pair.proxy.rebind({ host: "127.0.0.9", left: "dead" });
    // Nothing is heard of the challenge sent there, but the gateway has seen it.
    const heard = pair.proxy.counts("up").seen + 2;
    while (pair.proxy.counts("up").seen < heard) await new Promise(setImmediate);
    return { host: `127.0.0.${1 + (move % 2)}`, left: "dead" };
  });
});

test("sessions of one gateway survive a NAT that forgets all of them at once", async () => {
  await using pair = await openPair();
  const others = await Promise.all(Array.from({ length: 20 }, () => pair.mesh.dial({ port: pair.proxy.port })));
  const accepted: string[] = [];
  const serving = (async () => {
    for await (const connection of pair.mesh.listener) {
      accepted.push(connection.remoteAddress.host);
      if (accepted.length === others.length) break;
    }
  })();
  await serving;
  await pair.proxy.rebind({ host: "127.0.0.9", left: "dead" });
  expect(Buffer.from(await ask(pair.node, Buffer.from("still here"))).toString()).toBe("still here");
  expect(pair.gateway.remoteAddress.host).toBe("127.0.0.9");
});
