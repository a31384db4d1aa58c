import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { Outbox } from "../src/outbox/outbox.ts";

it("every append that resolved is there after SIGKILL, five times over", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-outbox-"));
  try {
    const promised = new Map<number, string>();
    for (let round = 1; round <= 5; round++) {
      await writeUntilKilled(directory, promised, 150 * round);
      await using outbox = await Outbox.open({ directory, segmentBytes: 65_536 });
      const last = Math.max(...promised.keys());
      expect(outbox.durable).toBeGreaterThanOrEqual(last);
      const found = await contents(outbox);
      for (const [seq, text] of promised) if (seq > outbox.acked) expect(found.get(seq)).toBe(text);
      // What was in flight may be there too; it counts from now on.
      for (const [seq, text] of found) promised.set(seq, text);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

async function writeUntilKilled(directory: string, promised: Map<number, string>, lines: number): Promise<void> {
  const script = join(import.meta.dirname, "support", "outbox-child.ts");
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", script, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = new Promise<NodeJS.Signals | null>((resolve) => child.once("close", (_, signal) => resolve(signal)));
  let read = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^(\d+) (\d+:\d+)$/.exec(line);
    // The very last line may be cut by the kill; its append was not seen to resolve.
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const seq = Number(match[1]);
    expect(promised.has(seq)).toBe(false);
    promised.set(seq, match[2]);
    read += 1;
    if (read === lines) child.kill("SIGKILL");
  }
  expect(await closed).toBe("SIGKILL");
}

async function contents(outbox: Outbox): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  await using cursor = outbox.cursor(outbox.acked);
  for (;;) {
    const records = await cursor.next({ events: 100, bytes: 100_000 });
    if (records.length === 0) return found;
    for (const { seq, data } of records) found.set(seq, new TextDecoder().decode(data));
  }
}
