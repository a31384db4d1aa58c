/** Paths that swallow long datagrams and tell nobody (no ICMP): the binding has no path MTU discovery. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { accept, ask, openMesh, serveEchoOnAll } from "../../packages/transport-quic/test/support/mesh.ts";
import { converse, echoBulk, openPair } from "./conversation.ts";
import { openProxy } from "./proxy.ts";
import { testSeed } from "./random.ts";

describe.each([
  { path: "an IPv4 path with an MTU of 1280", maxBytes: 1252 },
  { path: "an IPv6 path with an MTU of 1280", maxBytes: 1232 },
  { path: "a path that carries no more than QUIC asks for", maxBytes: 1200 },
])("on $path", ({ maxBytes }) => {
  test("a dial succeeds and streams are answered, though datagrams are configured longer", async () => {
    await using mesh = await openMesh({ transport: { datagramBytes: 1350 } });
    const serving = serveEchoOnAll(mesh.listener);
    await using proxy = await openProxy({
      upstreamPort: mesh.listener.address.port,
      weather: { maxBytes },
      seed: testSeed(),
    });
    const node = await mesh.dial({ port: proxy.port });
    const bytes = randomBytes(200_000);
    expect(Buffer.compare(await ask(node, bytes), bytes)).toBe(0);
    expect(proxy.counts("up").oversized + proxy.counts("down").oversized).toBeGreaterThan(0);
    await mesh[Symbol.asyncDispose]();
    await serving;
  });

  test("a conversation goes on that began on a wider one", async () => {
    await using pair = await openPair();
    let isNarrow = false;
    await Promise.all([
      converse(pair, { smallStreams: 64, bulkBytes: 400_000 }),
      echoBulk(pair.node, randomBytes(1_000_000), (length) => {
        if (!isNarrow && length > 200_000) pair.proxy.change({ maxBytes });
        isNarrow ||= length > 200_000;
        return undefined;
      }),
    ]);
    // No more than what was under way, and what it takes to notice.
    expect(pair.proxy.counts("down").oversized).toBeGreaterThan(0);
    expect(pair.proxy.counts("down").oversized).toBeLessThan(5000);
  });
});

test("a gateway's first flight reaches a node within the handshake's time over a narrow path", async () => {
  await using mesh = await openMesh({ transport: { datagramBytes: 1350 } });
  await using proxy = await openProxy({
    upstreamPort: mesh.listener.address.port,
    weather: { maxBytes: 1232, delayMs: 25 },
  });
  const accepted = accept(mesh.listener);
  await mesh.dial({ port: proxy.port });
  expect((await accepted).remoteAddress.host).toBe("127.0.0.1");
});
