import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { parseTicket } from "@quaymesh/identity";
import { join as joinMesh } from "@quaymesh/node";
import type { Connection, Transport } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect } from "vitest";

/** A gateway in this process, and a device that has paired with it. */
export interface World extends AsyncDisposable {
  readonly client: GatewayClient;
  /** Where the gateway listens. */
  readonly port: number;
  /** The paired device's state directory. */
  readonly state: string;
  /** Connections that the gateway accepted, oldest first. */
  readonly accepted: readonly Connection[];
  /** Whether the gateway says that the device is online. */
  isOnline(): Promise<boolean>;
  /** Grows with each session of the device's. */
  sessionEpoch(): Promise<number>;
  /** How many events the device's log has, after a check that none is missing or twice. */
  events(): Promise<number>;
}

const NAME = "laptop";

/** QUIC with short silences, which keeps what it accepts. */
function watched(idleTimeoutMs: number, accepted: Connection[]): Transport {
  const quic = createQuicTransport({ datagramBytes: 1350 });
  return {
    dial: (address, options) => quic.dial(address, options),
    async listen(options) {
      const listener = await quic.listen({ ...options, limits: { ...options.limits, idleTimeoutMs } });
      const all = { [Symbol.asyncIterator]: listener[Symbol.asyncIterator].bind(listener) };
      const noted = async function* () {
        for await (const connection of all) {
          accepted.push(connection);
          yield connection;
        }
      };
      return Object.assign(listener, { [Symbol.asyncIterator]: () => noted() });
    },
  };
}

/** Open a gateway and pair a device with it over loopback. */
export async function openWorld(options: { readonly host: string; readonly idleTimeoutMs: number }): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-network-"));
  const accepted: Connection[] = [];
  const gateway = await Gateway.open({
    transport: watched(options.idleTimeoutMs, accepted),
    state: join(directory, "gateway"),
    listen: { host: options.host, port: 0 },
    pairing: {
      childModule: new URL("../../packages/cli/src/pairing-child.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
    },
  });
  const client = await connect({ state: join(directory, "gateway") });
  const state = join(directory, "node");
  await pair(client, state);
  const port = Number(gateway.addresses[0]?.split(":").at(-1));
  return {
    client,
    port,
    state,
    accepted,
    isOnline: async () => (await client.devices.get(NAME)).state === "online",
    sessionEpoch: async () => (await client.devices.get(NAME)).sessionEpoch,
    events: () => countTicks(client),
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await gateway.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function pair(client: GatewayClient, state: string): Promise<void> {
  const window = await client.pairing.open({ name: NAME });
  const ticket = parseTicket(window.link, { now: Date.now() });
  const joining = joinMesh({ state, transport: createQuicTransport(), invitation: { kind: "ticket", ticket } });
  joining.catch(() => undefined);
  for await (const { state: now, request } of client.pairing.watch(window.windowId)) {
    if (now === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (now === "issued") break;
  }
  await joining;
}

async function countTicks(client: GatewayClient): Promise<number> {
  const done = new AbortController();
  const seqs: number[] = [];
  try {
    const events = client.events({
      filter: { kinds: ["test.*"] },
      signal: done.signal,
      onCaughtUp: () => done.abort(),
    });
    for await (const { seq } of events) seqs.push(seq);
  } catch (error) {
    if (!done.signal.aborted) throw error;
  }
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  return seqs.length;
}
