/** What a flood of handshakes leaves behind is collected in time: nobody forces a collection here. */
import { expect, test } from "vitest";
import { loopbackSources, startFlood } from "./rig/flood.ts";
import { Rig } from "./rig/rig.ts";

const HANDSHAKES = 5000;
/** What 128 handshakes hold, the garbage of some thousand, and what the allocator keeps. Uncollected, so many handshakes hold 140 MB. */
const MAX_GROWN_BYTES = 110 << 20;

test("five thousand handshakes that are begun and given up do not add up", async () => {
  await using rig = await Rig.open();
  const { dial } = await rig.pair("node");
  const { host, port } = rig;
  const before = await rig.sample();
  await using _flood = await startFlood({
    kind: "half-open-validated",
    host,
    port,
    serverName: dial.serverName,
    perSecond: 1000,
    total: 1_000_000,
    sources: loopbackSources(250),
  });
  const displaced = async () => (await rig.sample("look"))?.refused["displaced"] ?? 0;
  await expect.poll(displaced, { timeout: 28_000, interval: 200 }).toBeGreaterThan(HANDSHAKES);
  const after = await rig.sample("look");
  expect((after?.peakRssBytes ?? Infinity) - (before?.rssBytes ?? 0)).toBeLessThan(MAX_GROWN_BYTES);
});
