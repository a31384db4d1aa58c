/** The pairing process beside a device that is online, over QUIC: whatever becomes of that process, the device's events go their way. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const transport = createQuicTransport();
test("a pairing process that is stopped in its tracks is replaced, and meanwhile a device's events are stored and read", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-stopped-"));
  const pids: number[] = [];
  const said: string[] = [];
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    if (message === "the pairing endpoint is open") pids.push(Number(fields["pid"]));
    said.push(`${message}: ${String(fields["why"])}`);
  };
  try {
    const state = join(directory, "gateway");
    const listen = { host: "127.0.0.1", port: 0 };
    const childModule = new URL("../../packages/cli/src/pairing-child.ts", import.meta.url);
    const logger = { debug() {}, error() {}, info: note, warn: note };
    await using _gateway = await Gateway.open({ transport, state, listen, logger, pairing: { childModule, listen } });
    await using client = await connect({ state });
    await pair(client, join(directory, "steady"), "steady");
    await using node = await Node.open({ state: join(directory, "steady"), transport });
    const running = node.run();
    running.catch(() => undefined);
    await expect.poll(() => node.state.kind, { timeout: 60_000 }).toBe("online");
    const { sessionEpoch } = await client.devices.get("steady");
    await client.pairing.open();
    const stopped = pids.at(-1) ?? 0;
    process.kill(stopped, "SIGSTOP");
    let meanwhile = 0;
    // Silence is noticed after some seconds; until then, and while the next process starts, events go on.
    while (pids.at(-1) === stopped) {
      await throughTheLog(client, node, `mark ${meanwhile}`);
      if (pids.at(-1) === stopped) meanwhile += 1;
    }
    expect(said.some((line) => line.includes("it was silent for too long"))).toBe(true);
    // One that waited for the process that is stopped would have come no sooner than the next process.
    expect(meanwhile).toBeGreaterThan(0);
    expect(await client.devices.get("steady")).toMatchObject({ state: "online", sessionEpoch });
    await pair(client, join(directory, "later"), "later");
    await node.stop();
    await running;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 240_000);

/** Publish an event and read it from the log. */
async function throughTheLog(client: GatewayClient, node: Node, mark: string): Promise<void> {
  const done = new AbortController();
  await node.publish("test.mark", { mark });
  try {
    for await (const { data } of client.events({ filter: { kinds: ["test.*"] }, signal: done.signal })) {
      if (JSON.stringify(data).includes(mark)) break;
    }
  } finally {
    done.abort();
  }
}

async function pair(client: GatewayClient, state: string, name: string): Promise<void> {
  const window = await client.pairing.open({ name });
  const ticket = parseTicket(window.link, { now: Date.now() });
  const joining = joinMesh({ state, transport, invitation: { kind: "ticket", ticket } });
  joining.catch(() => undefined);
  for await (const { state: at, request } of client.pairing.watch(window.windowId)) {
    if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (at === "issued") break;
  }
  await joining;
}
