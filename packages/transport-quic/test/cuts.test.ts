/** Whoever was let in and is sent away is counted by what for. */
import { expect, test } from "vitest";
import { openProxy } from "../../../test/network/proxy.ts";
import { accept, ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";

test("a peer that opens no stream", async () => {
  await using mesh = await openMesh({ limits: { firstByteTimeoutMs: 100 } });
  const node = await mesh.dial();
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x53, byPeer: true });
  expect(mesh.listener.stats()).toMatchObject({ accepted: 1, cut: { "first-stream": 1 } });
});

test("a peer that falls silent", async () => {
  const mesh = await openMesh({ limits: { idleTimeoutMs: 500 } });
  const serving = serveEchoOnAll(mesh.listener);
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const node = await mesh.dial({ port: proxy.port });
  await ask(node, Buffer.from("here"));
  expect(mesh.listener.stats().cut).toEqual({});
  proxy.lose(1);
  await expect.poll(() => mesh.listener.stats().cut, { timeout: 10_000 }).toEqual({ idle: 1 });
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a peer that has come from as many addresses as can be followed", async () => {
  const mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  await using proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const node = await mesh.dial({ port: proxy.port });
  const wander = async (): Promise<void> => {
    for (let moves = 0; moves < 100; moves += 1) {
      await proxy.rebind();
      await ask(node, Buffer.from("here now"));
    }
  };
  await expect(wander()).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  expect(await node.closed).toMatchObject({ kind: "application", code: 0, byPeer: true });
  expect(mesh.listener.stats().cut).toEqual({ addresses: 1 });
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("not a peer that leaves by itself, nor one whose listener closes", async () => {
  const mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const gateway = await accepted;
  node.close(0);
  await gateway.closed;
  const acceptedLater = accept(mesh.listener);
  const other = await mesh.dial();
  await acceptedLater;
  await mesh.listener.close();
  await other.closed;
  expect(mesh.listener.stats()).toMatchObject({ accepted: 2, cut: {} });
  await mesh[Symbol.asyncDispose]();
});
