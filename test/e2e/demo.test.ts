/** The demo, once, as a newcomer runs it. */
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const DEMO = fileURLToPath(new URL("../../packages/cli/src/demo/main.ts", import.meta.url));
const DEMO_TIMEOUT_MS = 180_000;

async function leftovers(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("quaymesh-demo-"));
}

test(
  "the main job works end to end in separate processes, and leaves nothing behind",
  async () => {
    const before = await leftovers();
    const child = spawn(process.execPath, ["-C", "@quaymesh/source", DEMO, "--json"], {
      env: { ...process.env, NO_COLOR: "1" },
    });
    const over = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [stdout, stderr, exit] = await Promise.all([text(child.stdout), text(child.stderr), over]);
    expect(exit, stderr).toBe(0);
    const { ok, steps } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as {
      ok: boolean;
      steps: readonly object[];
    };
    expect(ok).toBe(true);
    const passed = { ok: true, ms: expect.any(Number) };
    expect(steps).toMatchObject([
      { ...passed, name: "gateway" },
      {
        ...passed,
        name: "pair",
        deviceId: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/u),
        qrRows: expect.any(Number),
      },
      { ...passed, name: "online", handshakeMs: expect.any(Number) },
      { ...passed, name: "task", digest: expect.stringMatching(/^[0-9a-f]{64}$/u) },
      { ...passed, name: "events", published: 20_000, delivered: 20_000, duplicates: 0, lost: 0 },
      { ...passed, name: "revoke", redialRefusedWith: "certificate_revoked" },
    ]);
    const [, pair, , task, events] = steps as readonly Record<string, unknown>[];
    expect(pair?.["words"]).toHaveLength(4);
    expect(Number(task?.["files"])).toBeGreaterThan(100);
    expect(Number(events?.["resumedFrom"])).toBeGreaterThan(0);
    expect(await leftovers()).toEqual(before);
  },
  DEMO_TIMEOUT_MS,
);
