import dgram from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";

test("a handshake on loopback is not filled up with zeros, and what follows uses the large datagrams", async () => {
  await using mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  const bytes: number[] = [];
  const front = dgram.createSocket("udp4");
  const back = dgram.createSocket("udp4");
  front.bind(0, "127.0.0.1");
  back.bind(0, "127.0.0.1");
  await Promise.all([once(front, "listening"), once(back, "listening")]);
  let client = 0;
  front.on("message", (datagram, from) => {
    client = from.port;
    bytes.push(datagram.length);
    back.send(datagram, mesh.listener.address.port, "127.0.0.1");
  });
  back.on("message", (datagram) => front.send(datagram, client, "127.0.0.1"));
  try {
    const node = await mesh.dial({ port: front.address().port });
    const small = await node.openStream();
    await small.end(Buffer.from("question"));
    await readAll(small);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(2048);
    const large = await node.openStream();
    await large.end(Buffer.alloc(64 << 10));
    expect(await readAll(large)).toHaveLength(64 << 10);
    expect(Math.max(...bytes)).toBeGreaterThan(16_000);
    await node[Symbol.asyncDispose]();
  } finally {
    front.close();
    back.close();
  }
  await mesh.listener.close();
  await serving;
});
