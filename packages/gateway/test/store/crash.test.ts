import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryDirectory } from "./temporary-store.ts";

const DEVICE = "01JAAAAAAAAAAAAAAAAAAAAAAA";
const WRITER = new URL("crash-writer.ts", import.meta.url).pathname;
/** A process starts and writes some hundred events in it even where the machine is busy with everything else. */
const WRITER_TIMEOUT_MS = 60_000;

/** Run the writer, kill it once it has acknowledged `lines` times. @returns the highest sequence it acknowledged */
async function killAfter(path: string, lines: number): Promise<number> {
  const said = `${path}.acknowledged-${lines}`;
  await writeFile(said, "");
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", WRITER, path, DEVICE, said], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const exited = once(child, "exit");
  await eventually(
    async () => child.exitCode !== null || (await acknowledgements(said)).length >= lines,
    WRITER_TIMEOUT_MS,
  );
  child.kill("SIGKILL");
  expect(await exited).toEqual([null, "SIGKILL"]);
  return Math.max(...(await acknowledgements(said)));
}

async function acknowledgements(said: string): Promise<readonly number[]> {
  const text = await readFile(said, "utf8");
  // A line that the kill cut short says less than was acknowledged, never more.
  return text.split("\n").slice(0, -1).map(Number);
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
      const events = eventRows(page);
      const found = events.map(({ offset, seq, data }) => [offset, seq, decodeValue(data)]);
      expect(found).toEqual(events.map((_, index) => Array(3).fill(after + index + 1)));
      after = page.scannedTo;
    }
    await store.close();
  }
}, 200_000);
