import type { Connection, Transport } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { QUIC_ERRORS, TransportError } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import type { FindMesh } from "../src/link/hints.ts";
import { Link } from "../src/link/link.ts";
import type { NodeIdentity } from "../src/state/identity-file.ts";
import { FakeGateway } from "./support/fake-gateway.ts";
import { ManualClock, settle } from "./support/manual-clock.ts";
import { DEVICE_ID, MESH_ADDRESS } from "./support/paired-state.ts";

const identity: NodeIdentity = {
  deviceId: DEVICE_ID,
  meshId: "abcdefghijklmnop",
  mesh: "harbor",
  addresses: [MESH_ADDRESS],
  chainPem: "chain",
  rootPem: "root",
  renewAfter: 0,
  notAfter: 0,
};

function openLink(transport: Transport, own: Partial<NodeIdentity> = {}, elsewhere?: FindMesh) {
  const clock = new ManualClock();
  const abort = new AbortController();
  const link = new Link({
    transport,
    clock,
    identity: () => ({ ...identity, ...own }),
    keyPem: () => "key",
    hello: () => ({
      v: 1,
      method: "session.open",
      device: DEVICE_ID,
      nonce: new Uint8Array(16),
      outboxEpoch: new Uint8Array(16),
      software: "test",
      platform: { os: "linux", arch: "x64" },
      capabilities: [],
    }),
    hooks: { running: () => [], load: () => 0, onLeases: () => {}, onDraining: () => {}, onRenew: () => {} },
    recovery: {
      renew: () => Promise.reject(new Error("nobody to ask")),
      followRoots: () => Promise.reject(new Error("nobody to ask")),
    },
    seen: { judges: () => true, keep: () => {} },
    keepNews: () => Promise.resolve(undefined),
    elsewhere,
    serve: async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
  });
  const running = link.run(abort.signal);
  return {
    link,
    clock,
    running,
    async [Symbol.asyncDispose]() {
      abort.abort();
      await running.catch(() => {});
    },
  };
}

/** Dials that fail, counted, by address. */
function unreachable(): Transport & { readonly dialed: string[] } {
  const dialed: string[] = [];
  return {
    dialed,
    listen: () => Promise.reject(new Error("nobody listens here")),
    dial: async ({ host }): Promise<Connection> => {
      dialed.push(host);
      throw new TransportError("UNREACHABLE", "nothing there");
    },
  };
}

describe("a link", () => {
  it("waits longer after each failure, up to a minute, anywhere in the window", async () => {
    const transport = unreachable();
    await using it = openLink(transport);
    it.clock.chance = 0.5;
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 10; attempt++) {
      await settle();
      const { state } = it.link;
      if (state.value.kind !== "waiting") throw new Error(`not waiting but ${state.value.kind}`);
      expect(state.value.attempt).toBe(attempt);
      waits.push(state.value.retryInMs);
      await it.clock.advance(state.value.retryInMs);
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(transport.dialed).toHaveLength(11);
  });

  it("tries every address in turn", async () => {
    const transport = unreachable();
    const addresses = ["192.0.2.1", "192.0.2.2"].map((host) => ({ host, port: 7420 }));
    await using it = openLink(transport, { addresses });
    it.clock.chance = 0.5;
    await settle();
    await it.clock.advance(1000);
    expect(transport.dialed.slice(0, 3)).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.1"]);
  });

  it("looks elsewhere once no address that is known can be reached, each minute at most, and dials what it finds after those", async () => {
    const transport = unreachable();
    const asked: string[] = [];
    const elsewhere: FindMesh = (meshId) => {
      asked.push(meshId);
      return Promise.resolve([MESH_ADDRESS, { host: "192.0.2.50", port: 7420 }]);
    };
    await using it = openLink(transport, {}, elsewhere);
    it.clock.chance = 0.5;
    for (let second = 0; second < 8; second++) {
      await settle();
      await it.clock.advance(1000);
    }
    const known = MESH_ADDRESS.host;
    expect(transport.dialed.slice(0, 5)).toEqual([known, known, "192.0.2.50", known, "192.0.2.50"]);
    expect(asked).toEqual([identity.meshId]);
  });

  it("is not stopped by what anybody says where a hint led: revoked, or not its gateway, from there is nobody's word", async () => {
    const refused = (host: string): TransportError => {
      if (host === MESH_ADDRESS.host) return new TransportError("UNREACHABLE", "nothing there");
      const close = { kind: "transport", code: QUIC_ERRORS.certificateRevoked, reason: "", byPeer: true } as const;
      return host === "192.0.2.50"
        ? new TransportError("CONNECTION_CLOSED", "closed", { close })
        : new TransportError("PEER_REFUSED", "not the root");
    };
    const dialed: string[] = [];
    const transport: Transport = {
      listen: () => Promise.reject(new Error("nobody listens here")),
      dial: ({ host }) => {
        dialed.push(host);
        return Promise.reject(refused(host));
      },
    };
    const hints = ["192.0.2.50", "192.0.2.51"].map((host) => ({ host, port: 7420 }));
    await using it = openLink(transport, {}, () => Promise.resolve(hints));
    it.clock.chance = 0.5;
    for (let second = 0; second < 16; second++) {
      await settle();
      expect(it.link.state.value).toMatchObject({ kind: "waiting", error: { code: "GATEWAY_UNREACHABLE" } });
      await it.clock.advance(1000);
    }
    expect(new Set(dialed)).toEqual(new Set([MESH_ADDRESS.host, "192.0.2.50", "192.0.2.51"]));
    // From an address that is known, the same word stops it.
    await using known = openLink(transport, { addresses: hints.slice(0, 1) });
    await expect(known.running).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
  });

  it("dials at once when the machine wakes from sleep, also where it still thought itself online", async () => {
    const network = createMemoryNetwork();
    await using gateway = await FakeGateway.listen(network);
    await using it = openLink(network);
    await gateway.until(() => gateway.sessions.length === 1);
    await settle();
    expect(it.link.state.value.kind).toBe("online");
    it.clock.suspend(3_600_000);
    await it.clock.advance(2000);
    await it.clock.advance(1000);
    expect(gateway.sessions).toHaveLength(2);
  });

  it("does not wait out a long pause after waking", async () => {
    const transport = unreachable();
    await using it = openLink(transport);
    it.clock.chance = 0.99;
    for (let attempt = 1; attempt <= 8; attempt++) {
      await settle();
      await it.clock.advance(60_000);
    }
    await settle();
    const before = transport.dialed.length;
    it.clock.suspend(60_000);
    await it.clock.advance(2000);
    expect(transport.dialed.length).toBe(before + 1);
  });

  it("takes a small step of the clock for what it is", async () => {
    const network = createMemoryNetwork();
    await using gateway = await FakeGateway.listen(network);
    await using it = openLink(network);
    await gateway.until(() => gateway.sessions.length === 1);
    await settle();
    it.clock.suspend(5000);
    await it.clock.advance(2000);
    expect(gateway.sessions).toHaveLength(1);
    expect(it.link.state.value.kind).toBe("online");
  });

  it("gives a gateway up that does not answer its heartbeats", async () => {
    const network = createMemoryNetwork();
    await using gateway = await FakeGateway.listen(network);
    gateway.behaviour.answersHeartbeats = false;
    await using it = openLink(network);
    await gateway.until(() => gateway.sessions.length === 1);
    await settle();
    for (let beat = 0; beat < 3; beat++) await it.clock.advance(30_000);
    await it.clock.advance(1000);
    expect(gateway.sessions).toHaveLength(2);
  });

  it("stays with one that answers", async () => {
    const network = createMemoryNetwork();
    await using gateway = await FakeGateway.listen(network);
    await using it = openLink(network);
    await gateway.until(() => gateway.sessions.length === 1);
    await settle();
    for (let beat = 0; beat < 10; beat++) await it.clock.advance(30_000);
    expect(gateway.sessions).toHaveLength(1);
    expect(gateway.session.heartbeats.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("gives a gateway up that never welcomes it", async () => {
    const network = createMemoryNetwork();
    await using gateway = await FakeGateway.listen(network);
    gateway.behaviour.welcomes = false;
    await using it = openLink(network);
    await gateway.until(() => gateway.sessions.length === 1);
    await it.clock.advance(10_000);
    await it.clock.advance(1000);
    expect(gateway.sessions.length).toBeGreaterThan(1);
    expect(it.link.state.value.kind).toBe("dialing");
  });
});
