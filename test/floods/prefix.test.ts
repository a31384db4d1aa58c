/** What one network may do is bounded, and loopback is no network: these floods come from a network namespace. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startFlood } from "./rig/flood.ts";
import { measure } from "./rig/measure.ts";
import { Rig } from "./rig/rig.ts";

const run = promisify(execFile);
const ip = (...words: readonly string[]) => run("ip", words);

/** A namespace with one end of a veth pair; the other end is ours. */
async function openNamespace() {
  const id = process.pid % 60_000;
  const name = `qmflood${String(id)}`;
  const [ours, theirs] = [`qmf${String(id)}a`, `qmf${String(id)}b`];
  const net = `10.${String(200 + (id % 50))}.${String(id % 250)}`;
  await ip("netns", "add", name);
  await ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name);
  await ip("addr", "add", `${net}.1/24`, "dev", ours);
  await ip("link", "set", ours, "up");
  await ip("-n", name, "addr", "add", `${net}.2/24`, "dev", theirs);
  await ip("-n", name, "link", "set", theirs, "up");
  return {
    command: ["ip", "netns", "exec", name],
    host: `${net}.1`,
    source: `${net}.2`,
    async [Symbol.asyncDispose]() {
      await ip("netns", "del", name);
    },
  };
}

const mayMakeNamespaces = async (): Promise<boolean> => {
  const name = `qmtry${String(process.pid)}`;
  try {
    await ip("netns", "add", name);
    await ip("netns", "del", name);
    return true;
  } catch {
    return false;
  }
};

const can = await mayMakeNamespaces();

test.skipIf(!can)(
  "one address of a network floods with handshakes: its budget stops it, and an enrolled node gets in",
  async () => {
    await using net = await openNamespace();
    await using rig = await Rig.open({ host: net.host });
    const device = await rig.pair("raw");
    const flood = { host: net.host, port: rig.port, serverName: device.dial.serverName, sources: [net.source] };
    for (const kind of ["handshakes", "half-open-validated"] as const) {
      await using flooding = await startFlood({ kind, ...flood, perSecond: 1000, total: 1_000_000 }, net.command);
      await expect
        .poll(async () => (await rig.sample())?.refused["budget"] ?? 0, { timeout: 15_000 })
        .toBeGreaterThan(kind === "handshakes" ? 100 : 200);
      const { refusals, p99Ms } = await measure(rig, device, 1.5);
      expect(refusals).toEqual([]);
      expect(p99Ms).toBeLessThan(2000);
      expect((await flooding.report()).attempts).toBeGreaterThan(500);
    }
  },
);

test.runIf(!can)("SKIPPED: floods from a network need root, for a network namespace", () => {
  expect(can).toBe(false);
});
