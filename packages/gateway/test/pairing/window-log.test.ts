import { describe, expect, test } from "vitest";
import type { WindowUpdate } from "../../src/pairing/service.ts";
import { WindowLog } from "../../src/pairing/window-log.ts";

const update = (state: WindowUpdate["state"], reason = ""): WindowUpdate => ({
  state,
  reason,
  request: undefined,
  remoteAddress: "",
});

async function statesOf(updates: AsyncIterable<WindowUpdate>): Promise<readonly string[]> {
  const states: string[] = [];
  for await (const { state } of updates) states.push(state);
  return states;
}

describe("a window's log", () => {
  test("gives every reader everything, before and after it came", async () => {
    const log = new WindowLog();
    log.push(update("open"));
    const early = statesOf(log.read());
    log.push(update("claimed"));
    await Promise.resolve();
    const middle = statesOf(log.read());
    log.push(update("pending"));
    log.end();
    log.push(update("active"));
    expect(await early).toEqual(["open", "claimed", "pending"]);
    expect(await middle).toEqual(["open", "claimed", "pending"]);
    expect(await statesOf(log.read())).toEqual(["open", "claimed", "pending"]);
  });

  test("does not grow with devices that come and go; the latest change is always there", async () => {
    const log = new WindowLog();
    for (let at = 0; at < 10_000; at += 1) log.push(update("attempt-failed", String(at)));
    log.end();
    const reasons: string[] = [];
    for await (const { reason } of log.read()) reasons.push(reason);
    expect(reasons).toHaveLength(WindowLog.maxUpdates);
    expect(reasons.at(-1)).toBe("9999");
  });

  test("lets go of a reader that aborts, with its reason, and keeps the others", async () => {
    const log = new WindowLog();
    const abort = new AbortController();
    const leaving = statesOf(log.read(abort.signal));
    const staying = statesOf(log.read());
    const reason = new Error("enough");
    abort.abort(reason);
    await expect(leaving).rejects.toBe(reason);
    await expect(statesOf(log.read(abort.signal))).rejects.toBe(reason);
    log.push(update("closed"));
    log.end();
    expect(await staying).toEqual(["closed"]);
  });
});
