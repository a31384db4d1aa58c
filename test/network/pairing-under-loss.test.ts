/** Pairing over real QUIC on a path that loses a fifth of the datagrams both ways: every device gets its certificate, in bounded time, whatever the seed. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { parsePin, parseTicket } from "@quaymesh/identity";
import { join as joinMesh, NodeError, type JoinInvitation } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";
import { openProxy } from "./proxy.ts";
import { testSeed } from "./random.ts";

/** Devices that pair by ticket, one after the other or beside each other; the last one has a PIN. */
const DEVICES = 8;
/** What a person would wait for: pairing is a matter of seconds, and begun again where a connection was lost. */
const PATIENCE_MS = 90_000;

const transport = createQuicTransport({ datagramBytes: 1350 });

test(
  "devices pair over QUIC where a fifth of the datagrams is lost, each with other losses",
  { timeout: 200_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-lossy-"));
    try {
      const listen = { host: "127.0.0.1", port: 0 };
      const childModule = new URL("../../packages/cli/src/pairing-child.ts", import.meta.url);
      const state = join(directory, "gateway");
      // They all come from one address here, and a lost connection costs its source a try.
      const limits = { attempts: { sourceBurst: 1000 } };
      const pairing = { childModule, listen, limits };
      await using _gateway = await Gateway.open({ transport, state, listen, pairing });
      await using client = await connect({ state });
      const seed = testSeed();
      const devices = Array.from({ length: DEVICES }, (_, index) =>
        pairUnderLoss(client, {
          own: join(directory, String(index)),
          seed: seed + index,
          code: index === 0 ? "pin" : "ticket",
        }),
      );
      const lost = await Promise.all(devices);
      expect(lost.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(DEVICES);
      expect(await client.devices.list()).toHaveLength(DEVICES);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);

interface Device {
  readonly own: string;
  readonly seed: number;
  readonly code: "ticket" | "pin";
}

/** @returns how many datagrams were lost meanwhile */
async function pairUnderLoss(client: GatewayClient, { own, seed, code }: Device): Promise<number> {
  const window = await client.pairing.open({ name: `device-${String(seed)}`, code, ttlMs: 2 * PATIENCE_MS });
  const upstreamPort = Number(window.addresses[0]?.split(":").at(-1));
  await using proxy = await openProxy({ upstreamPort, weather: { loss: 0.2 }, seed });
  const address = { host: "127.0.0.1", port: proxy.port };
  const invitation = (): JoinInvitation =>
    code === "pin"
      ? { kind: "pin", address, pin: parsePin(window.pin) }
      : { kind: "ticket", ticket: { ...parseTicket(window.link, { now: Date.now() }), addresses: [address] } };
  const watching = approveAll(client, window.windowId);
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await joinMesh({ state: own, transport, invitation: invitation() });
      break;
    } catch (cause) {
      // Whoever lost the connection begins again, with the same code, until the gateway has noticed that the first is gone.
      if (!(cause instanceof NodeError) || performance.now() > until) throw cause;
    }
  }
  await watching;
  return proxy.dropped;
}

async function approveAll(client: GatewayClient, windowId: string): Promise<void> {
  for await (const { state, request } of client.pairing.watch(windowId)) {
    if (state === "pending") await client.pairing.approve(request?.requestId ?? "");
    if (state === "issued" || state === "active") return;
  }
}
