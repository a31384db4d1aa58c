import { expect, test } from "vitest";
import { accept, nextStream, openMesh, readAll, serveEchoOnAll } from "./support/mesh.ts";

test("a stream that overtakes an earlier one is delivered, and the earlier one when it comes", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const late = await node.openStream();
  const early = await node.openStream();
  await early.end(Buffer.from("early"));
  const gateway = await accepted;
  const first = await nextStream(gateway);
  expect(first.id).toBe(early.id);
  expect(Buffer.from(await readAll(first)).toString()).toBe("early");
  await late.end(Buffer.from("late"));
  const second = await nextStream(gateway);
  expect(second.id).toBe(late.id);
  expect(Buffer.from(await readAll(second)).toString()).toBe("late");
});

test("a stream that overtakes others is delivered though another was waited for and has come", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const talk = await node.openStream();
  await talk.write(Buffer.from("a"));
  const gateway = await accepted;
  const heard = await nextStream(gateway);
  expect(await heard.read()).toEqual(new Uint8Array(Buffer.from("a")));
  const more = heard.read();
  const streams = gateway.incomingStreams[Symbol.asyncIterator]();
  const next = streams.next();
  await node.openStream();
  const overtaking = await node.openStream();
  // Both in one datagram.
  await overtaking.end(Buffer.from("o"));
  await talk.write(Buffer.from("b"));
  expect(await more).toEqual(new Uint8Array(Buffer.from("b")));
  expect((await next).value?.id).toBe(overtaking.id);
});

test("a stream that overtakes another is delivered though its connection is closed in the same turn", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const first = await node.openStream();
  await first.end(Buffer.from("first"));
  const gateway = await accepted;
  const streams = gateway.incomingStreams[Symbol.asyncIterator]();
  await readAll((await streams.next()).value ?? first);
  const next = streams.next();
  await node.openStream();
  const last = await node.openStream();
  void last.end(Buffer.from("last words"));
  node.close(0);
  const delivered = (await next).value;
  expect(delivered?.id).toBe(last.id);
  expect(Buffer.from((await delivered?.read()) ?? []).toString()).toBe("last words");
});

test("each of many waiting readers gets its own answer", async () => {
  await using mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const stream = await node.openStream();
      const answer = readAll(stream);
      await stream.end(Buffer.from(`question ${index}`));
      return Buffer.from(await answer).toString();
    }),
  );
  expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => `question ${index}`));
  await mesh.listener.close();
  await serving;
});

test("closing after the last answer sends nothing before the close", async () => {
  await using mesh = await openMesh();
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  await stream.end(Buffer.from("question"));
  await readAll(stream);
  const before = node.stats().bytesSent;
  node.close(0);
  expect(node.stats().bytesSent).toBe(before);
  await mesh.listener.close();
  await serving;
});

test("closing right after a write sends what was written before the close", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const stream = await node.openStream();
  void stream.write(Buffer.from("last words"));
  node.close(0);
  expect(Buffer.from((await (await nextStream(await accepted)).read()) ?? []).toString()).toBe("last words");
});
