import { MessageStream } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { FIRST_FRAME_MS, FRAME_PROGRESS_MS } from "../../src/sessions/timed-stream.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeNode } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function open() {
  const clock = new FakeClock();
  const gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const dial = () => FakeNode.dial(gateway.network, gateway.core.address, device);
  const cut = () => gateway.core.sessions.stats().cut;
  return { clock, gateway, device, dial, cut, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

test("a peer that sends one byte and stops is cut as soon as one that sends none", async () => {
  await using it = await open();
  const connection = await it.dial();
  await eventually(() => it.gateway.core.sessions.stats().connections === 1);
  it.clock.advance(FIRST_FRAME_MS - 100);
  const stream = await connection.openStream();
  await stream.write(Uint8Array.of(0));
  await turns();
  it.clock.advance(99);
  await turns();
  expect(it.cut()).toEqual({});
  it.clock.advance(1);
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x53, byPeer: true });
  expect(it.cut()).toEqual({ "first-frame": 1 });
  expect(it.gateway.lines).toContainEqual(
    expect.objectContaining({
      level: "warn",
      fields: expect.objectContaining({ reason: "first-frame", device: it.device }),
    }),
  );
});

test("a control stream that stops inside a frame takes its connection along, and is counted", async () => {
  await using it = await open();
  const node = await it.gateway.connect(it.device);
  const stream = await node.connection.openStream();
  const whole = new MessageStream(stream);
  await whole.send({ v: 1, method: "health" });
  await turns();
  // Another stream that stops is reset alone.
  const half = await node.connection.openStream();
  await half.write(Uint8Array.of(0, 0, 0, 9, 1));
  await turns();
  it.clock.advance(FIRST_FRAME_MS);
  await expect(half.read()).rejects.toMatchObject({ code: "STREAM_RESET", resetCode: 0x53 });
  expect(it.cut()).toEqual({ "first-frame": 1 });
  expect(await node.heartbeat(1)).toMatchObject({ fenced: [] });
  await node.control.sendFrame(Uint8Array.of(0, 0, 1, 0, 0xa1));
  await turns();
  it.clock.advance(FRAME_PROGRESS_MS - 1);
  await turns();
  expect(it.cut()).toEqual({ "first-frame": 1 });
  it.clock.advance(1);
  expect(await node.connection.closed).toMatchObject({ kind: "application", code: 0x53, byPeer: true });
  expect(it.cut()).toEqual({ "first-frame": 1, "frame-progress": 1 });
});
