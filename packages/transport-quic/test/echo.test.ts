import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { accept, ask, nextStream, openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";

const text = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString();

test("a request and its answer cross over mutual TLS", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const asked = ask(node, Buffer.from("hello"));
  const gateway = await accepted;
  const stream = await nextStream(gateway);
  expect(text(await readAll(stream))).toBe("hello");
  await stream.end(Buffer.from("welcome"));
  expect(text(await asked)).toBe("welcome");
  expect(gateway.peer.chain).toHaveLength(2);
  expect(gateway.peer.spkiSha256).toHaveLength(32);
  expect(gateway.remoteAddress.host).toBe("127.0.0.1");
});

test("the gateway opens streams too", async () => {
  await using mesh = await openMesh({ limits: { firstByteTimeoutMs: Infinity } });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  const asked = ask(gateway, Buffer.from("run"));
  const stream = await nextStream(node);
  expect(text(await readAll(stream))).toBe("run");
  await stream.end(Buffer.from("done"));
  expect(text(await asked)).toBe("done");
});

test.each(["127.0.0.1", "::1", "localhost"])("megabytes cross unharmed over %s", async (host) => {
  await using mesh = await openMesh({ host });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const bytes = randomBytes(9_000_001);
  const stream = await node.openStream();
  const answer = readAll(stream);
  for (let at = 0; at < bytes.length; at += 100_003) await stream.write(bytes.subarray(at, at + 100_003));
  await stream.end(Buffer.from("!"));
  const got = await answer;
  expect(got.length).toBe(bytes.length + 1);
  expect(Buffer.compare(bytes, got.subarray(0, -1))).toBe(0);
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a message written without ending the stream arrives at once", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const asking = await node.openStream();
  await asking.write(Buffer.from("ping"));
  const answering = await nextStream(await accepted);
  expect(text(await answering.read())).toBe("ping");
  await answering.write(Buffer.from("pong"));
  expect(text(await asking.read())).toBe("pong");
});
