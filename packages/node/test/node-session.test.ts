import { CLOSE_CODES } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { readNodeStatus } from "../src/index.ts";
import { openScene as scene, untilState } from "./support/scene.ts";

describe("a node's session", () => {
  it("is online from the gateway's welcome, not from the handshake", async () => {
    await using it = await scene();
    it.gateway.behaviour.welcomes = false;
    const running = it.node.run();
    await it.gateway.until(() => it.gateway.sessions.length === 1);
    expect(it.node.state.kind).toBe("dialing");
    it.gateway.behaviour.welcomes = true;
    it.gateway.session.connection.close(CLOSE_CODES.internal);
    const online = await untilState(it.node, "online");
    expect(online).toMatchObject({ mesh: "harbor", sessionEpoch: 1 });
    await it.node.stop();
    await running;
  });

  it("says who it is and what it offers", async () => {
    await using it = await scene({ software: "test/1" });
    const running = it.node.run();
    await untilState(it.node, "online");
    const { hello } = it.gateway.session;
    expect(hello).toMatchObject({
      device: it.node.identity.deviceId,
      software: "test/1",
      capabilities: [],
      running: [],
    });
    expect(hello.outboxEpoch).toHaveLength(16);
    await it.node.stop();
    await running;
  });

  it("comes back after the gateway closed it, under a new session epoch", async () => {
    await using it = await scene();
    const running = it.node.run();
    await untilState(it.node, "online");
    it.gateway.session.connection.close(CLOSE_CODES.internal, "trouble");
    await it.gateway.until(() => it.gateway.sessions.length === 2);
    expect(await untilState(it.node, "online")).toMatchObject({ sessionEpoch: 2 });
    await it.node.stop();
    await running;
  });

  it("keeps dialing while nothing answers", async () => {
    await using it = await scene({ listens: false });
    const running = it.node.run();
    const waiting = await untilState(it.node, "waiting");
    expect(waiting.error).toMatchObject({ code: "GATEWAY_UNREACHABLE" });
    await it.gateway.open(it.network);
    await untilState(it.node, "online");
    await it.node.stop();
    await running;
  });

  it("tries again when the gateway is full", async () => {
    await using it = await scene({ listens: false });
    await it.gateway.open(it.network, { maxConnections: 0 });
    const running = it.node.run();
    const waiting = await untilState(it.node, "waiting");
    expect(waiting.error).toMatchObject({ code: "GATEWAY_BUSY" });
    await it.gateway.close();
    await it.gateway.open(it.network);
    await untilState(it.node, "online");
    await it.node.stop();
    await running;
  });

  it("stops for good when the gateway says that the device is revoked", async () => {
    await using it = await scene();
    const running = it.node.run();
    const ended = expect(running).rejects.toMatchObject({ code: "DEVICE_REVOKED", details: { epoch: 7 } });
    await untilState(it.node, "online");
    await it.gateway.session.control.send({ type: "revoked", epoch: 7, reason: "sold" });
    await ended;
    expect(it.node.state).toMatchObject({ kind: "stopped", error: { code: "DEVICE_REVOKED" } });
    expect(it.gateway.sessions).toHaveLength(1);
  });

  it.each([
    ["revoked", "DEVICE_REVOKED"],
    ["unknown", "DEVICE_UNKNOWN"],
  ] as const)("stops for good when the handshake is refused as %s", async (reason, code) => {
    await using it = await scene({ listens: false });
    await using listener = await it.network.listen({
      address: { host: "192.0.2.10", port: 7420 },
      protocol: "quaymesh/1",
      credentials: { keyPem: "key", chainPem: "chain" },
      trust: { kind: "judged", authorize: () => ({ kind: "refuse", reason }) },
    });
    await expect(it.node.run()).rejects.toMatchObject({ code });
    expect(listener.stats().refused).toEqual({ [reason]: 1 });
  });

  it("tries again when a gateway cannot judge it for now", async () => {
    await using it = await scene({ listens: false });
    let refusals = 0;
    await using _listener = await it.network.listen({
      address: { host: "192.0.2.10", port: 7420 },
      protocol: "quaymesh/1",
      credentials: { keyPem: "key", chainPem: "chain" },
      trust: {
        kind: "judged",
        authorize: () => {
          refusals += 1;
          return { kind: "refuse", reason: "denied" };
        },
      },
    });
    const running = it.node.run();
    expect((await untilState(it.node, "waiting")).error).toMatchObject({ code: "GATEWAY_REFUSED" });
    for await (const _ of it.node.states()) if (refusals > 1) break;
    await it.node.stop();
    await running;
  });

  it("waits as long as a draining gateway asks", async () => {
    await using it = await scene();
    const running = it.node.run();
    await untilState(it.node, "online");
    await it.gateway.session.control.send({ type: "drain", retryAfterMs: 60_000 });
    await new Promise<void>((resolve) => setImmediate(resolve));
    it.gateway.session.connection.close(CLOSE_CODES.draining, "draining");
    expect(await untilState(it.node, "waiting")).toMatchObject({ retryInMs: 60_000, error: { code: "GATEWAY_BUSY" } });
    await it.node.stop();
    await running;
  });

  it("does not fight with another process of the same device", async () => {
    await using it = await scene();
    const running = it.node.run();
    await untilState(it.node, "online");
    it.gateway.session.connection.close(CLOSE_CODES.superseded);
    const waiting = await untilState(it.node, "waiting");
    expect(waiting.retryInMs).toBeGreaterThanOrEqual(60_000);
    await it.node.stop();
    await running;
  });

  it("says goodbye when it stops, and reports that it stopped", async () => {
    await using it = await scene();
    const running = it.node.run();
    await untilState(it.node, "online");
    const [session] = it.gateway.sessions;
    await it.node.stop();
    await running;
    expect(session?.bye).toBe("stopped");
    expect(it.node.state).toEqual({ kind: "stopped" });
    await expect(it.node.run()).rejects.toMatchObject({ code: "NODE_STOPPED" });
  });

  it("stops when the signal of run aborts", async () => {
    await using it = await scene();
    const abort = new AbortController();
    const running = it.node.run({ signal: abort.signal });
    await untilState(it.node, "online");
    abort.abort();
    await running;
    expect(it.node.state.kind).toBe("stopped");
  });

  it("is one per state directory, and its status can be read from outside", async () => {
    await using it = await scene();
    await expect(it.open()).rejects.toMatchObject({ code: "NODE_ALREADY_RUNNING" });
    const running = it.node.run();
    await untilState(it.node, "online");
    // The file follows the state.
    let status = await readNodeStatus(it.state);
    while (status.reported?.kind !== "online") status = await readNodeStatus(it.state);
    expect(status).toMatchObject({ isRunning: true, reported: { address: "192.0.2.10:7420", sessionEpoch: 1 } });
    await it.node.stop();
    await running;
    expect(await readNodeStatus(it.state)).toMatchObject({ isRunning: false, reported: { kind: "stopped" } });
    await it.open();
  });
});
