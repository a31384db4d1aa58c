import { rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { quaymesh, startGateway, temporaryDirectory } from "./support.ts";

describe("a sealing key kept elsewhere", () => {
  it("opens the authority when it is named, and only then", { timeout: 90_000 }, async () => {
    await using directory = await temporaryDirectory();
    const [state, key] = [directory.path("gateway"), directory.path("elsewhere.key")];
    {
      await using _first = await startGateway(state);
    }
    await rename(join(state, "authority.key"), key);
    const without = await quaymesh(["gateway", "run", "--state", state, "--listen", "127.0.0.1:0", "--json"]);
    expect([without.exit, without.error?.code]).toEqual([35, "AUTHORITY_UNREADABLE"]);
    await using again = await startGateway(state, "--sealing-key", key);
    expect(again.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });
});
