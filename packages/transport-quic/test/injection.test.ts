import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { Path } from "../../../test/fuzz/datagrams/path.ts";
import { accept, ask, openMesh, serveEcho } from "./support/mesh.ts";

test("noise does not keep a dialer from its pings, which keep the session alive", async () => {
  const limits = { idleTimeoutMs: 1500 };
  await using mesh = await openMesh({ limits });
  await using path = await Path.open(mesh.listener.address.port);
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: path.port });
  const gateway = await accepted;
  const serving = serveEcho(gateway);
  await ask(node, randomBytes(50));
  const over = gateway.closed.then(() => "over" as const);
  const noise = setInterval(() => path.toClient(Buffer.concat([Uint8Array.of(0x40), randomBytes(60)])), 10);
  try {
    // Past the end of a connection that is silent.
    while (gateway.stats().ageMs < 2 * limits.idleTimeoutMs) {
      const { packetsReceived } = gateway.stats();
      const heard = expect.poll(() => gateway.stats().packetsReceived, { interval: 10, timeout: 10_000 });
      expect(await Promise.race([heard.toBeGreaterThan(packetsReceived), over])).not.toBe("over");
    }
  } finally {
    clearInterval(noise);
  }
  await mesh[Symbol.asyncDispose]();
  await serving;
});
