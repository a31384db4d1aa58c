import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { ByteStream, Connection } from "@quaymesh/protocol";
import { accept, ask, nextStream, openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";
import { openProxy } from "../../../test/network/proxy.ts";

// Off-the-machine datagrams: with 16 KiB most streams of these tests would share a datagram.
const transport = { datagramBytes: 1350 };

const inParallel = async (total: number, width: number, work: (index: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < total; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: width }, lane));
};

test("ten thousand streams end under 10 % loss, none hangs", async () => {
  await using mesh = await openMesh({ transport });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  proxy.lose(0.1);
  await inParallel(10_000, 64, async (index) => {
    const bytes = Buffer.alloc(1 + (index % 2000), index);
    expect(Buffer.from(await ask(node, bytes)).equals(bytes)).toBe(true);
  });
  expect(proxy.dropped).toBeGreaterThan(1000);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

// The weak case of ADR 0003: each side writes, lets the turn pass, and ends with nothing.
const serveEndingLate = async (connection: Connection): Promise<void> => {
  const answer = async (stream: ByteStream): Promise<void> => {
    const request = await readAll(stream);
    await stream.write(request);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    await stream.end();
  };
  const served: Promise<void>[] = [];
  for await (const stream of connection.incomingStreams) served.push(answer(stream));
  await Promise.allSettled(served);
};

/** Ten thousand of the weak case, and on a connection that is never quiet, take minutes: `QUAYMESH_LONG=1 npx vitest run packages/transport-quic/test/loss.test.ts`. */
const LONG = process.env["QUAYMESH_LONG"] === "1";

test.each([
  // Few at once: the connection is quiet now and then, which is when the end is certain.
  { where: "on a connection that is quiet now and then", lanes: 3, streams: LONG ? 10_000 : 200, delayMs: 0 },
  { where: "on a connection that is never quiet", lanes: 64, streams: LONG ? 10_000 : 600, delayMs: 0 },
  { where: "on a long path that is never quiet", lanes: 256, streams: LONG ? 10_000 : 256, delayMs: 100 },
])(
  "streams ended after their last bytes have left end as well under loss, $where",
  { timeout: LONG ? 1_200_000 : 30_000 },
  async ({ lanes, streams, delayMs }) => {
    await using mesh = await openMesh({ transport });
    await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port, seed: 7 });
    const accepted = accept(mesh.listener);
    const node = await mesh.dial({ port: proxy.port });
    const serving = accepted.then(serveEndingLate);
    proxy.change({ loss: 0.1, delayMs });
    await inParallel(streams, lanes, async (index) => {
      const bytes = Buffer.from(`request ${index}`);
      const stream = await node.openStream();
      await stream.write(bytes);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await stream.end();
      expect(Buffer.from(await readAll(stream)).equals(bytes)).toBe(true);
    });
    await mesh[Symbol.asyncDispose]();
    await serving;
  },
);

test("a large transfer under loss is whole", async () => {
  await using mesh = await openMesh({ transport });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port, seed: 3 });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  proxy.lose(0.02);
  const bytes = randomBytes(2_000_000);
  expect(Buffer.compare(await ask(node, bytes), bytes)).toBe(0);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a session survives a NAT rebinding, and the gateway sees the new address", async () => {
  await using mesh = await openMesh({ transport });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  const gateway = await accepted;
  const echo = async (text: string): Promise<string> => {
    const answer = ask(node, Buffer.from(text));
    const stream = await nextStream(gateway);
    await stream.end(await readAll(stream));
    return Buffer.from(await answer).toString();
  };
  expect(await echo("before")).toBe("before");
  const before = gateway.remoteAddress;
  await proxy.rebind();
  expect(await echo("after")).toBe("after");
  expect(await echo("and on")).toBe("and on");
  const after = gateway.remoteAddress;
  expect(after.host).toBe(before.host);
  expect(after.port).not.toBe(before.port);
});

test("after a gateway's restart its old peers hear at once that their connection is gone", async () => {
  await using mesh = await openMesh({ transport });
  await using successor = await openMesh({ transport });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  const stream = await node.openStream();
  await stream.write(Buffer.from("hello"));
  const answering = await nextStream(await accepted);
  await answering.write(Buffer.from("welcome"));
  await stream.read();
  proxy.redirect(successor.listener.address.port);
  await stream.write(Buffer.from("still there?"));
  const close = await node.closed;
  expect(close).toMatchObject({ kind: "transport", byPeer: true, reason: "stateless reset" });
  expect(successor.listener.stats().refused["reset"]).toBeGreaterThan(0);
});
