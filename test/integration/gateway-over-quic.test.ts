/** The gateway as it is meant to be: over QUIC, with its pairing process, a real node, and the operator's client. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient, type WindowUpdate } from "@quaymesh/gateway/client";
import { parsePin, parseTicket } from "@quaymesh/identity";
import {
  defineTask,
  join as joinMesh,
  Node,
  type JoinInvitation,
  type JoinResult,
  type JoinStep,
} from "@quaymesh/node";
import type { Transport } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";

const transport = createQuicTransport();

/** A world of its own: a gateway with a client, and a place for nodes' states. */
async function openWorld() {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-world-"));
  const state = join(directory, "gateway");
  const pairingProcesses: number[] = [];
  const info = (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (message === "the pairing endpoint is open") pairingProcesses.push(Number(fields["pid"]));
  };
  const open = () =>
    Gateway.open({
      transport,
      state,
      meshName: "harbor",
      listen: { host: "127.0.0.1", port: 0 },
      pairing: {
        childModule: new URL("../../packages/cli/src/pairing-child.ts", import.meta.url),
        listen: { host: "127.0.0.1", port: 0 },
      },
      logger: { debug() {}, info, warn() {}, error() {} },
    });
  const gateway = await open();
  const client = await connect({ state });
  return {
    gateway,
    client,
    /** Process ids, the latest last. */
    pairingProcesses,
    nodeState: (name: string) => join(directory, name),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await gateway.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Join through the operator API; the operator compares the words before approving. */
async function pair(
  client: GatewayClient,
  state: string,
  options: { readonly name: string; readonly code?: "ticket" | "pin"; readonly labels?: readonly string[] },
): Promise<JoinResult> {
  const window = await client.pairing.open(options);
  const shown: JoinStep[] = [];
  const joining = joinMesh({
    state,
    transport,
    invitation: invitationOf(window),
    onStep: (step) => void shown.push(step),
  });
  joining.catch(() => {});
  const states: string[] = [];
  for await (const update of client.pairing.watch(window.windowId)) {
    states.push(update.state);
    if (update.state === "pending") await approve(client, update, shown);
    if (update.state === "issued") break;
  }
  expect(states).toEqual(["open", "claimed", "pending", "approved", "issued"]);
  return await joining;
}

function invitationOf(window: Awaited<ReturnType<GatewayClient["pairing"]["open"]>>): JoinInvitation {
  if (window.link !== "") return { kind: "ticket", ticket: parseTicket(window.link, { now: Date.now() }) };
  const [host = "", port = ""] = window.addresses[0]?.split(":") ?? [];
  return { kind: "pin", pin: parsePin(window.pin), address: { host, port: Number(port) } };
}

async function approve(client: GatewayClient, { request }: WindowUpdate, shown: readonly JoinStep[]): Promise<void> {
  await expect.poll(() => shown.find((step) => step.kind === "proved")?.words).toEqual(request?.words);
  await client.pairing.approve(request?.requestId ?? "");
}

/** A Standard Schema for text. */
const text = {
  "~standard": {
    version: 1,
    vendor: "test",
    types: undefined as { readonly input: string; readonly output: string } | undefined,
    validate: (value: unknown) => (typeof value === "string" ? { value } : { issues: [{ message: "not a text" }] }),
  },
} as const;

const shout = defineTask({
  name: "text.shout",
  input: text,
  output: text,
  run(input, { progress }) {
    progress(0.5, "half way");
    return input.toUpperCase();
  },
});

test("a device pairs by ticket over QUIC, works, reports, and is cut off when it is revoked", async () => {
  await using world = await openWorld();
  const { client } = world;
  const joined = await pair(client, world.nodeState("a"), { name: "build-box", labels: ["gpu"] });
  expect(joined).toMatchObject({ mesh: "harbor", meshId: world.gateway.meshId });
  await using node = await Node.open({ state: world.nodeState("a"), transport, tasks: [shout] });
  const running = node.run();
  running.catch(() => {});
  await expect.poll(() => client.devices.get("build-box"), { timeout: 10_000 }).toMatchObject({ state: "online" });
  await expect.poll(() => client.pairing.requests()).toMatchObject([{ state: "active", deviceId: joined.deviceId }]);
  await expect.poll(async () => (await client.status()).pairingOpen).toBe(false);

  const task = await client.tasks.submit(shout, "hello", { on: { label: "gpu" } });
  const progress: number[] = [];
  for await (const update of task.updates()) progress.push(update.progress);
  expect(await task.result()).toBe("HELLO");
  expect(progress.at(-1)).toBe(1);

  await node.publish("test.tick", { n: 1 }, { flush: true });
  for await (const event of client.events({ filter: { kinds: ["test.*"] } })) {
    expect(event).toMatchObject({ kind: "test.tick", data: { n: 1 }, deviceId: joined.deviceId });
    break;
  }

  const receipt = await client.devices.revoke("build-box", { reason: "sold" });
  expect(receipt).toMatchObject({ sessionsClosed: 1, reason: "sold" });
  expect(receipt.closedMs).toBeLessThan(5_000);
  await expect(running).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
});

test("a device pairs by PIN over QUIC", async () => {
  await using world = await openWorld();
  const joined = await pair(world.client, world.nodeState("a"), { name: "", code: "pin" });
  expect(await world.client.devices.list()).toMatchObject([{ id: joined.deviceId, state: "new" }]);
});

/** QUIC, but that a dialer pauses before it says its n-th frame: it tells so and waits for `goOn`. */
function pausing(nth: number, reached: () => void, goOn: Promise<void>): Transport {
  return {
    listen: (options) => transport.listen(options),
    async dial(address, options) {
      const connection = await transport.dial(address, options);
      const openStream = connection.openStream.bind(connection);
      const paused = async () => {
        const stream = await openStream();
        const write = stream.write.bind(stream);
        let said = 0;
        return Object.assign(stream, {
          async write(bytes: Uint8Array) {
            said += 1;
            if (said === nth) {
              reached();
              await goOn;
            }
            await write(bytes);
          },
        });
      };
      return Object.assign(connection, { openStream: paused });
    },
  };
}

test.each([
  ["its hello", 1, /^PAIR_CLOSED$|^PAIR_CODE_INVALID$/u],
  ["its proof", 2, /^PAIR_CODE_INVALID$/u],
])(
  "a machine with %s under way while another pairs with its ticket is told that it came too late",
  async (_what, nth, codes) => {
    await using world = await openWorld();
    const { client } = world;
    const window = await client.pairing.open({ name: "" });
    const stored = Promise.withResolvers<void>();
    const joining = joinMesh({
      state: world.nodeState("a"),
      transport,
      invitation: invitationOf(window),
      onStep: ({ kind }) => {
        if (kind === "stored") stored.resolve();
      },
    });
    joining.catch(stored.reject);
    const reached = Promise.withResolvers<void>();
    const slow = pausing(nth, reached.resolve, stored.promise);
    const late: Promise<unknown>[] = [];
    for await (const { state, request } of client.pairing.watch(window.windowId)) {
      if (state === "pending") {
        const second = joinMesh({ state: world.nodeState("b"), transport: slow, invitation: invitationOf(window) });
        late.push(second.catch((error: unknown) => error));
        await reached.promise;
        await client.pairing.approve(request?.requestId ?? "");
      }
      if (state === "issued") break;
    }
    expect(await joining).toMatchObject({ mesh: "harbor" });
    expect(await Promise.all(late)).toMatchObject([{ code: expect.stringMatching(codes) }]);
    await expect.poll(async () => (await client.status()).pairingOpen).toBe(false);
  },
);

test("killing the pairing process changes nothing for a device that is online", async () => {
  await using world = await openWorld();
  const { client } = world;
  await pair(client, world.nodeState("a"), { name: "steady" });
  await using node = await Node.open({ state: world.nodeState("a"), transport });
  const running = node.run();
  running.catch(() => {});
  await expect.poll(() => client.devices.get("steady"), { timeout: 10_000 }).toMatchObject({ state: "online" });
  const { sessionEpoch } = await client.devices.get("steady");
  await client.pairing.open();
  const killed = world.pairingProcesses.at(-1) ?? 0;
  process.kill(killed, "SIGKILL");
  await expect.poll(() => world.pairingProcesses.at(-1), { timeout: 10_000 }).not.toBe(killed);
  const joined = await pair(client, world.nodeState("b"), { name: "later" });
  expect(joined.mesh).toBe("harbor");
  expect(await client.devices.get("steady")).toMatchObject({ state: "online", sessionEpoch });
});
