import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Result } from "../src/report.ts";
import { makeCredentials } from "../src/transport/credentials.ts";
import { Worker } from "../src/transport/process.ts";
import { TransportRig } from "../src/transport/rig.ts";
import { ROWS, WORKS } from "../src/transport/rows.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const RUN_MS = 120_000;

/** Run the bench as a user does. */
const bench = async (...args: string[]) =>
  await promisify(execFile)(process.execPath, ["-C", "@quaymesh/source", MAIN, ...args], { timeout: RUN_MS });

describe("npm run bench -- transport", () => {
  it(
    "measures every row on every system and ends with one line of JSON",
    async () => {
      const { stdout, stderr } = await bench("transport", "--quick", "--json");
      const lines = stdout.trimEnd().split("\n");
      const result = JSON.parse(lines.at(-1) ?? "") as Result;
      expect(result).toMatchObject({ suite: "transport", reps: 1, quick: true });
      expect(result.rows.map(({ work }) => work)).toEqual([...WORKS]);
      expect(result.failures).toEqual([]);
      for (const [index, row] of result.rows.entries()) {
        const goals = ROWS[index]?.goals ?? {};
        const systems = ["ours", ...Object.keys(goals).filter((peer) => peer !== "jsquic")];
        expect(Object.keys(row.ranges)).toEqual(systems);
        expect(Object.keys(row.extra["CPU µs/op"] ?? {})).toEqual(systems);
        expect(["ours", ...Object.keys(row.peers)]).toEqual(systems);
        expect(row.ours).toBeGreaterThan(0);
        for (const [peer, value] of Object.entries(row.peers)) {
          expect(value).toBeGreaterThan(0);
          expect(((row.ratios[peer] ?? 0) * value) / row.ours).toBeCloseTo(1, 1);
        }
        expect(row.met).toBeTypeOf("boolean");
        expect(row.goal).toEqual(Object.fromEntries(Object.entries(goals).filter(([, goal]) => goal !== null)));
        expect(row).toMatchObject({ unit: ROWS[index]?.unit });
      }
      expect(result.rows[0]?.extra).toHaveProperty("µs p99.ours");
      const table = lines.slice(0, -1);
      expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(80);
      expect(stderr).toContain("[25/25]");
    },
    RUN_MS,
  );

  it("exits 2 and says what it knows for a row it does not have", async () => {
    const failed = await bench("transport", "--only", "teleport").catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("handshakes; not teleport") });
  });
});

describe("the rig", () => {
  const glance = { warmupMs: 10, measureMs: 50 };

  it("says what a system failed at, starts it anew for the next row, and leaves the others alone", async () => {
    const { signal } = new AbortController();
    await using rig = new TransportRig(await makeCredentials(), { profileDir: null });
    await expect(rig.measure("unary-1", "dgram", glance, signal)).rejects.toThrow("dgram carries bulk only");
    expect(await rig.measure("bulk", "dgram", glance, signal)).toMatchObject({ value: expect.any(Number) });
    await expect(rig.measure("bulk", "nothing", glance, signal)).rejects.toThrow("the server of nothing ended");
    expect(await rig.measure("bulk", "dgram", glance, signal)).toMatchObject({ value: expect.any(Number) });
  });
});

describe("a worker process", () => {
  const wait = { timeoutMs: RUN_MS, signal: new AbortController().signal };

  it("that ends is an error, not a silence", async () => {
    await using worker = Worker.start({ system: "nothing", role: "client", profileDir: null, stderr: "ignore" });
    await expect(worker.ask({ type: "usage" }, "usage", wait)).rejects.toThrow("the client of nothing ended: 1");
  });

  it("that fails says at what, and why", async () => {
    const { client } = await makeCredentials();
    await using worker = Worker.start({ system: "http2", role: "client", profileDir: null });
    const open = () => worker.ask({ type: "open", work: "events" }, "opened", wait);
    await expect(open()).rejects.toThrow(/client of http2, asked to "open events", failed: .*not prepared/);
    // Port 1 of loopback: nothing listens there.
    await worker.ask(
      { type: "prepare", tls: client, ports: { default: 1, "1350": 1 }, devices: null },
      "prepared",
      wait,
    );
    await expect(open()).rejects.toThrow("ECONNREFUSED");
  });

  it("says how much memory it has only where it can collect garbage first", async () => {
    await using plain = Worker.start({ system: "http2", role: "client", profileDir: null });
    await expect(plain.ask({ type: "memory" }, "memory", wait)).rejects.toThrow("cannot collect garbage");
    await using able = Worker.start({ system: "http2", role: "client", profileDir: null, exposesGc: true });
    await able.ask({ type: "collect" }, "done", wait);
    const { memory } = await able.ask({ type: "memory" }, "memory", wait);
    expect(memory.rss).toBeGreaterThan(memory.heap);
    expect(memory.heap).toBeGreaterThan(1e6);
  });

  it("that answers another question is an error", async () => {
    await using worker = Worker.start({ system: "http2", role: "client", profileDir: null });
    const asked = worker.ask({ type: "close" }, "measured", wait);
    await expect(asked).rejects.toThrow('the client of http2, asked to "close", answered "closed"');
  });

  it("that is too slow is an error, and ends all the same", async () => {
    await using worker = Worker.start({ system: "http2", role: "client", profileDir: null });
    await expect(worker.ask({ type: "usage" }, "usage", { ...wait, timeoutMs: 0 })).rejects.toThrow(
      '"usage" within 0 ms',
    );
  });

  it("is given up at once when the run is aborted", async () => {
    await using worker = Worker.start({ system: "http2", role: "client", profileDir: null });
    const stop = new AbortController();
    const asked = worker.ask({ type: "usage" }, "usage", { ...wait, signal: stop.signal });
    stop.abort(new Error("stopped by hand"));
    await expect(asked).rejects.toThrow("stopped by hand");
  });
});
