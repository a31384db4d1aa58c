import { mkdtemp, rm } from "node:fs/promises";
import { request, type RequestOptions } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificatesFromPem } from "@quaymesh/identity";
import type { Credentials, PeerIdentity } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { expect, test } from "vitest";
import { connect } from "../../src/client/index.ts";
import { Gateway } from "../../src/daemon/gateway.ts";
import { spkiOf } from "../pairing/tcp-transport.ts";

function peerOf({ chainPem }: Credentials): PeerIdentity {
  const chain = certificatesFromPem(chainPem);
  return { chain, spkiSha256: spkiOf(chain[0] ?? new Uint8Array()) };
}

async function openGateway(state: string): Promise<Gateway> {
  return await Gateway.open({
    state,
    transport: createMemoryNetwork({ peerOf }),
    listen: { host: "127.0.0.1", port: 7420 },
    pairing: {
      childModule: new URL("../pairing/tcp-child.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
    },
    metrics: { host: "127.0.0.1", port: 0 },
  });
}

function get(options: RequestOptions): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: string }>();
  const asking = request({ ...options, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => void chunks.push(chunk));
    response.once("end", () => resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString() }));
  });
  asking.once("error", reject);
  asking.end();
  return promise;
}

test("a running gateway shows the same metrics on its admin socket and on the address it was given, beside its API", async () => {
  const state = await mkdtemp(join(tmpdir(), "quaymesh-probes-"));
  const gateway = await openGateway(state);
  try {
    const port = gateway.metricsAddress?.port ?? 0;
    expect(port).toBeGreaterThan(0);
    for (const way of [{ socketPath: gateway.adminSocket }, { host: "127.0.0.1", port }]) {
      const { status, body } = await get({ ...way, path: "/metrics" });
      expect(status).toBe(200);
      expect(body).toContain("\nquaymesh_connections 0\n");
      expect(body).toContain("\nquaymesh_event_log_first_offset 0\n");
      expect(body).toContain("\nprocess_resident_memory_bytes ");
      expect(await get({ ...way, path: "/readyz" })).toEqual({ status: 200, body: "ready\n" });
    }
    // Nothing of the operators' API is there for whoever can reach a port.
    expect(await get({ host: "127.0.0.1", port, path: "/quaymesh.v1.GatewayService/GetStatus" })).toMatchObject({
      status: 404,
    });
    await using client = await connect({ state });
    const stats = await client.stats();
    expect(stats).toMatchObject({
      transport: { connections: 0, halfOpen: 0, refused: {}, cut: {} },
      sessions: { online: 0, opened: 0 },
      store: { state: "ok" },
      tasks: { waiting: 0, placed: 0, retrying: 0 },
    });
    expect(Date.now() - (stats.startedAt ?? 0)).toBeLessThan(60_000);
    await gateway.stop();
    await expect(get({ host: "127.0.0.1", port, path: "/healthz" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  } finally {
    await gateway.stop();
    await rm(state, { recursive: true, force: true });
  }
});
