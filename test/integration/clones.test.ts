/** A node's state copied to a second machine: over QUIC, the whole way from the copy's hello to an operator who decides. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node, type NodeState } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const transport = createQuicTransport();

/** Run a node until it is online or says why not. */
async function visit(state: string): Promise<NodeState> {
  await using node = await Node.open({ state, transport });
  const running = node.run();
  running.catch(() => {});
  let last: NodeState = node.state;
  for await (const seen of node.states()) {
    last = seen;
    if (seen.kind === "online" || seen.kind === "waiting" || seen.kind === "stopped") break;
  }
  await node.stop();
  return last;
}

test("a copied identity is frozen with the original, until the operator says who is right", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-clone-"));
  const [state, own, copy] = ["gateway", "own", "copy"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  try {
    const listen = { host: "127.0.0.1", port: 0 };
    const childModule = new URL("../../packages/cli/src/pairing-child.ts", import.meta.url);
    await using gateway = await Gateway.open({ transport, state, listen, pairing: { childModule, listen } });
    await using client = await connect({ state: gateway.state });
    const window = await client.pairing.open({ name: "laptop" });
    const ticket = parseTicket(window.link, { now: Date.now() });
    const joining = joinMesh({ state: own, transport, invitation: { kind: "ticket", ticket } });
    for await (const { state: at, request } of client.pairing.watch(window.windowId)) {
      if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
      if (at === "issued") break;
    }
    await joining;
    expect((await visit(own)).kind).toBe("online");
    await cp(own, copy, { recursive: true });
    for (let at = 0; at < 2; at++) expect((await visit(own)).kind).toBe("online");
    expect(await visit(copy)).toMatchObject({ kind: "waiting", error: { code: "DEVICE_FROZEN" } });
    expect(await client.devices.get("laptop")).toMatchObject({ state: "frozen" });
    expect(await visit(own)).toMatchObject({ kind: "waiting", error: { code: "DEVICE_FROZEN" } });
    expect(await client.devices.unfreeze("laptop")).toMatchObject({ state: "offline" });
    expect((await visit(own)).kind).toBe("online");
    expect((await visit(own)).kind).toBe("online");
    expect(await visit(copy)).toMatchObject({ kind: "waiting", error: { code: "DEVICE_FROZEN" } });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
