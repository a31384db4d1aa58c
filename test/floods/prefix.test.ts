/** What one network may do is bounded, and loopback is no network: these floods come from a network namespace. */
import { expect, test } from "vitest";
import { startFlood } from "./rig/flood.ts";
import { measure } from "./rig/measure.ts";
import { mayMakeNamespaces, openNamespace } from "./rig/namespace.ts";
import { Rig } from "./rig/rig.ts";

const can = await mayMakeNamespaces();

test.skipIf(!can)(
  "one address of a network floods with handshakes: its budget stops it, and an enrolled node gets in",
  { timeout: 60_000 },
  async () => {
    await using net = await openNamespace();
    await using rig = await Rig.open({ host: net.host });
    const device = await rig.pair("raw");
    const flood = { host: net.host, port: rig.port, serverName: device.dial.serverName, sources: [net.source] };
    for (const kind of ["handshakes", "half-open-validated"] as const) {
      await using flooding = await startFlood({ kind, ...flood, perSecond: 1000, total: 1_000_000 }, net.command);
      await expect
        .poll(async () => (await rig.sample())?.refused["budget"] ?? 0, { timeout: 20_000 })
        .toBeGreaterThan(kind === "handshakes" ? 100 : 200);
      const { refusals, p95Ms } = await measure(rig, device, 1, 40);
      expect(refusals).toEqual([]);
      expect(p95Ms).toBeLessThan(2000);
      expect((await flooding.report()).attempts).toBeGreaterThan(500);
    }
  },
);

test.runIf(!can)("SKIPPED: floods from a network need root, for a network namespace", () => {
  expect(can).toBe(false);
});
