/** A thousand streams that send a byte a second: they hold what they were given until their time is up, and keep nobody out. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ByteStream } from "@quaymesh/protocol";
import { measure } from "./rig/measure.ts";
import { type Device, Rig } from "./rig/rig.ts";
import { openSession } from "./rig/session.ts";

const SLOW_STREAMS = 1000;
const CRUMB_EVERY_MS = 1000;
/** Header of a frame of 64 bytes, which a byte a second would complete in a minute. */
const CRUMBS = Uint8Array.of(0, 0, 0, 64, 0xa1, 0x61, 0x76, 0x01);
/** docs/wire.md, "Limits": the first frame of a stream. */
const FIRST_FRAME_MS = 2000;
const MAX_GROWN_BYTES = 128 << 20;

let rig: Rig;
let slow: Device;
let node: Device;

beforeAll(async () => {
  rig = await Rig.open();
  slow = await rig.pair("slow");
  node = await rig.pair("node");
});

afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

/** Send a byte a second until the gateway has enough. @returns how long that took */
async function dribble(stream: ByteStream): Promise<number> {
  const startedAt = performance.now();
  const gone = stream.read().then(
    () => "answered",
    () => "reset",
  );
  for (const byte of CRUMBS) {
    try {
      await stream.write(Uint8Array.of(byte));
    } catch {
      break;
    }
    const timer = Promise.withResolvers<undefined>();
    const timeout = setTimeout(() => timer.resolve(undefined), CRUMB_EVERY_MS);
    const ended = await Promise.race([gone, timer.promise]);
    clearTimeout(timeout);
    if (ended !== undefined) break;
  }
  return performance.now() - startedAt;
}

test("1000 slow streams of an enrolled device are cut when their time is up; another node gets in within 2 s", async () => {
  await using session = await openSession(rig.transport, rig, slow);
  const before = await rig.sample();
  const streams: ByteStream[] = [];
  // The control stream is one of the thousand that are allowed.
  for (let opened = 0; opened < SLOW_STREAMS - 1; opened += 1) streams.push(await session.connection.openStream());
  const dribbling = Promise.all(streams.map((stream) => dribble(stream)));
  const { p99Ms } = await measure(rig, node, 2);
  expect(p99Ms).toBeLessThan(2000);
  const lastedMs = await dribbling;
  expect(Math.min(...lastedMs)).toBeGreaterThan(FIRST_FRAME_MS / 2);
  // All of them are gone long before the minute their frames would take.
  expect(Math.max(...lastedMs)).toBeLessThan(CRUMBS.length * CRUMB_EVERY_MS);
  // The session they came with is what it was.
  await session.health();
  const after = await rig.sample();
  expect((after?.rssBytes ?? Infinity) - (before?.rssBytes ?? 0)).toBeLessThan(MAX_GROWN_BYTES);
  expect(after?.faults).toEqual([]);
});
