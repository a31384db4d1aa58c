import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { expect, test } from "vitest";
import { connect } from "../../src/client/index.ts";
import { Gateway } from "../../src/daemon/gateway.ts";

const childModule = new URL("../pairing/tcp-child.ts", import.meta.url);

test("a gateway whose store has broken stops and says why, instead of admitting devices it cannot revoke", async () => {
  const state = await mkdtemp(join(tmpdir(), "quaymesh-broken-"));
  const threads: Worker[] = [];
  const remember = (thread: Worker): void => void threads.push(thread);
  process.on("worker", remember);
  try {
    await using gateway = await Gateway.open({
      state,
      transport: createMemoryNetwork(),
      listen: { host: "127.0.0.1", port: 7420 },
      pairing: { childModule, listen: { host: "127.0.0.1", port: 0 } },
    });
    const ended = gateway.run();
    expect(threads.length).toBeGreaterThan(0);
    await threads[0]?.terminate();
    await expect(ended).rejects.toMatchObject({ name: "GatewayError", code: "STORE_FAILED" });
    await expect(connect({ state })).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
  } finally {
    process.off("worker", remember);
    await rm(state, { recursive: true, force: true });
  }
});
