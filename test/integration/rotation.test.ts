/** An operator rotates a device over QUIC: the node renews, comes back with the new certificate, and the old one is refused. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const transport = createQuicTransport();

test("a rotation is done when the device has used its new certificate, and then the old one is refused", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-rotate-"));
  const [own, before] = [join(directory, "own"), join(directory, "before")];
  try {
    const listen = { host: "127.0.0.1", port: 0 };
    const childModule = new URL("../../packages/cli/src/pairing-child.ts", import.meta.url);
    const state = join(directory, "gateway");
    await using _gateway = await Gateway.open({ transport, state, listen, pairing: { childModule, listen } });
    await using client = await connect({ state });
    const window = await client.pairing.open({ name: "laptop" });
    const ticket = parseTicket(window.link, { now: Date.now() });
    const joining = joinMesh({ state: own, transport, invitation: { kind: "ticket", ticket } });
    for await (const { state: at, request } of client.pairing.watch(window.windowId)) {
      if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
      if (at === "issued") break;
    }
    await joining;
    expect(await client.devices.rotate("laptop")).toEqual({ state: "pending-offline" });
    await cp(own, before, { recursive: true });
    await using node = await Node.open({ state: own, transport });
    const old = node.identity.chainPem;
    const running = node.run();
    // Asked for while it was away: it renews with its first session.
    await expect.poll(() => node.identity.chainPem !== old, { timeout: 10_000 }).toBe(true);
    await expect
      .poll(async () => (await client.devices.get("laptop")).rotationRequestedAt, { timeout: 10_000 })
      .toBeUndefined();
    const second = node.identity.chainPem;
    await expect.poll(() => node.state.kind).toBe("online");
    expect(await client.devices.rotate("laptop")).toEqual({ state: "rotated" });
    expect(node.identity.chainPem).not.toBe(second);
    await node.stop();
    await running;
    await using stale = await Node.open({ state: before, transport });
    await expect(stale.run()).rejects.toMatchObject({ code: "DEVICE_UNKNOWN" });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
