import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { decodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { temporaryDirectory } from "./temporary-store.ts";

const DEVICE = "01JAAAAAAAAAAAAAAAAAAAAAAA";
const WRITER = new URL("crash-writer.ts", import.meta.url).pathname;

/** Run the writer, kill it after it has acknowledged `lines` times. @returns the highest sequence it acknowledged */
async function killAfter(path: string, lines: number): Promise<number> {
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", WRITER, path, DEVICE], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let acked = 0;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    acked = Math.max(acked, Number(line));
    count += 1;
    if (count === lines) child.kill("SIGKILL");
  }
  expect(await exited).toEqual([null, "SIGKILL"]);
  return acked;
}

test("every event that was acknowledged is there after kill -9, once and in order", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "gateway.db");
  for (const lines of [1, 7, 50]) {
    const acked = await killAfter(path, lines);
    const store = await openSqliteStore({ path });
    const { latest } = await store.events.bounds();
    expect(latest).toBeGreaterThanOrEqual(acked);
    let after = 0;
    while (after < latest) {
      const page = await store.events.read({ after, limit: 1000, maxBytes: 1e9, filter: {} });
      for (const [index, event] of page.events.entries()) {
        expect([event.offset, event.seq, decodeValue(event.data)]).toEqual(Array(3).fill(after + index + 1));
      }
      after = page.scannedTo;
    }
    await store.close();
  }
});
