/** A laptop that was shut for longer than its certificate: over QUIC, with BoringSSL's own look at the dates, and the pairing endpoint in its process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node, type NodeState } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const DAY = 86_400_000;
const transport = createQuicTransport();

function openGateway(state: string, ports: { readonly mesh: number; readonly pairing: number }, agoMs = 0) {
  const now = () => Date.now() - agoMs;
  const after = (ms: number, run: () => void) => {
    const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  };
  return Gateway.open({
    transport,
    state,
    listen: { host: "127.0.0.1", port: ports.mesh },
    pairing: {
      childModule: new URL("../../packages/cli/src/pairing-child.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: ports.pairing },
      door: "always",
    },
    clock: { now, monotonicMs: () => performance.now(), after },
  });
}

async function pairLongAgo(gateway: Gateway, state: string, agoMs: number): Promise<void> {
  await using client = await connect({ state: gateway.state });
  const window = await client.pairing.open({ name: "laptop" });
  const now = () => Date.now() - agoMs;
  const clock = {
    now,
    monotonic: () => performance.now(),
    random: () => 0,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
      }),
  };
  const ticket = parseTicket(window.link, { now: now() });
  const joining = joinMesh({ state, transport, invitation: { kind: "ticket", ticket }, clock });
  for await (const { state: at, request } of client.pairing.watch(window.windowId)) {
    if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (at === "issued") break;
  }
  await joining;
}

test("a device that slept past its certificate comes back by itself, and its old certificate is done with", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-late-"));
  try {
    const [gatewayState, nodeState] = [join(directory, "gateway"), join(directory, "node")];
    let mesh = 0;
    {
      await using past = await openGateway(gatewayState, { mesh, pairing: 0 }, 40 * DAY);
      mesh = Number(past.addresses[0]?.split(":")[1]);
      await pairLongAgo(past, nodeState, 40 * DAY);
    }
    await using node = await Node.open({ state: nodeState, transport });
    const pairing = node.identity.pairingAddresses?.[0]?.port ?? 0;
    await using _gateway = await openGateway(gatewayState, { mesh, pairing });
    await using client = await connect({ state: gatewayState });
    expect(node.identity.notAfter).toBeLessThan(Date.now());
    const seen: NodeState["kind"][] = [];
    const running = node.run();
    for await (const state of node.states()) {
      seen.push(state.kind);
      if (state.kind === "online" || state.kind === "stopped") break;
    }
    expect(seen).toContain("renewing");
    expect(seen.at(-1)).toBe("online");
    const [device] = await client.devices.list();
    expect(device?.certificateNotAfter).toBeGreaterThan(Date.now() + 29 * DAY);
    expect(node.identity.notAfter).toBeGreaterThan(Date.now() + 29 * DAY);
    await node.stop();
    await running;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
