import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GatewayClient } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node } from "@quaymesh/node";
import type { Transport } from "@quaymesh/protocol";

/** Pair a new device and run it until it is online. @returns milliseconds since its code was shown */
export async function pairOnce(client: GatewayClient, transport: Transport, signal: AbortSignal): Promise<number> {
  const state = await mkdtemp(join(tmpdir(), "quaymesh-bench-"));
  try {
    const window = await client.pairing.open({ name: "bench" });
    const began = performance.now();
    const ticket = parseTicket(window.link, { now: Date.now() });
    const approving = approve(client, window.windowId);
    await joinMesh({ state, transport, invitation: { kind: "ticket", ticket }, signal });
    await approving;
    await using node = await Node.open({ state, transport });
    const running = node.run();
    await online(node, signal);
    const tookMs = performance.now() - began;
    await node.stop();
    await running;
    return tookMs;
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

async function approve(client: GatewayClient, windowId: string): Promise<void> {
  for await (const { state, request } of client.pairing.watch(windowId)) {
    if (state === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (state === "issued" || state === "active") return;
  }
}

async function online(node: Node, signal: AbortSignal): Promise<void> {
  while (node.state.kind !== "online") {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
