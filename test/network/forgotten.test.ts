/** Connections that one end has forgotten. */
import { expect, test } from "vitest";
import { accept, openMesh } from "../../packages/transport-quic/test/support/mesh.ts";
import { openProxy } from "./proxy.ts";

const KEEP_ALIVE_MS = 500;

test("a silent dialer that was forgotten hears so from the answer to its next keep-alive", async () => {
  await using mesh = await openMesh({ transport: { keepAliveMs: KEEP_ALIVE_MS } });
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  const gateway = await accepted;
  const stream = await node.openStream();
  await stream.write(Buffer.from("hello"));
  await gateway.incomingStreams[Symbol.asyncIterator]().next();
  proxy.lose(1);
  gateway.close(0);
  await expect.poll(() => mesh.listener.stats().connections, { timeout: 10_000 }).toBe(0);
  proxy.lose(0);
  expect(await node.closed).toMatchObject({ kind: "transport", byPeer: true, reason: "stateless reset" });
});
