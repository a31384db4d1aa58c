/** Events over a link that carries 200 KB a second, through the whole of node and gateway over QUIC. */
import { expect, test } from "vitest";
import { Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { openProxy } from "./proxy.ts";
import { testSeed } from "./random.ts";
import { openWorld, type World } from "./world.ts";

const EVENTS = 6000;
const LINK = { bytesPerSecond: 200_000, delayMs: 5 };

/** An event as a machine's log has them, unlike the others. */
const lineOf = (index: number): object => ({
  level: index % 7 === 0 ? "warning" : "info",
  unit: `conveyor-${String(index % 5)}`,
  message: `the drive at section ${String(index % 23)} reports ${String((index * 7919) % 1000)} revolutions a minute, which is within its limits`,
  index,
});

/** Publish over the slow link. @returns bytes that the node sent, as datagrams */
async function publishAll(world: World, compress: "auto" | "never"): Promise<number> {
  let sentBytes = 0;
  await using proxy = await openProxy({
    upstreamPort: world.port,
    weather: LINK,
    seed: testSeed(),
    onDatagram: (datagram, direction) => {
      if (direction === "up") sentBytes += datagram.length;
    },
  });
  const quic = createQuicTransport({ datagramBytes: 1350 });
  await using node = await Node.open({
    state: world.state,
    compress,
    transport: {
      listen: (options) => quic.listen(options),
      dial: (_address, options) => quic.dial({ host: "127.0.0.1", port: proxy.port }, options),
    },
  });
  void node.run();
  const seqs: Promise<number>[] = [];
  for (let index = 0; index < EVENTS; index++) {
    seqs.push(node.publish("test.line", lineOf(index), { durability: "buffered" }));
  }
  const last = Math.max(...(await Promise.all(seqs)));
  await node.acknowledged(last);
  return sentBytes;
}

/** What the log holds of the node's events, oldest first, once there are so many. */
async function logOf(
  world: World,
  count: number,
): Promise<readonly { readonly seq: number; readonly data: unknown }[]> {
  const found: { readonly seq: number; readonly data: unknown }[] = [];
  for await (const { seq, data } of world.client.events({ filter: { kinds: ["test.line"] } })) {
    found.push({ seq, data });
    if (found.length === count) break;
  }
  return found;
}

test("text-like events take less than 0.4 of the bytes where the link is slow, and the log is the same", async () => {
  await using world = await openWorld({ host: "127.0.0.1", idleTimeoutMs: 20_000 });
  const plain = await publishAll(world, "never");
  const packed = await publishAll(world, "auto");
  const log = await logOf(world, 2 * EVENTS);
  expect(log.map(({ seq }) => seq)).toEqual(Array.from({ length: 2 * EVENTS }, (_, index) => index + 1));
  const lines = log.map(({ data }) => data);
  expect(lines.slice(EVENTS)).toEqual(lines.slice(0, EVENTS));
  expect(packed / plain).toBeLessThan(0.4);
}, 120_000);
