/** A gateway moves to another address, as processes: its node follows without pairing again, and no event is lost. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { rename } from "node:fs/promises";
import { connect } from "@quaymesh/gateway/client";
import { Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { describe, expect, test } from "vitest";
import { pairNode, quaymesh, startGateway, temporaryDirectory } from "./support.ts";

/** A UDP port of loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

describe("moving a gateway", () => {
  test("to another port with its state: a node follows, and each of its events is in the log once", async () => {
    await using directory = await temporaryDirectory();
    const [before, after] = [directory.path("here"), directory.path("there")];
    const first = await startGateway(before);
    await pairNode(before, directory.path("node"), "box");
    await using node = await Node.open({ state: directory.path("node"), transport: createQuicTransport() });
    const running = node.run();
    const published: number[] = [];
    const publish = async (): Promise<void> => {
      published.push(await node.publish("test.tick", published.length));
    };
    await publish();
    await node.acknowledged(1);

    const port = await freePort();
    const told = await quaymesh(["gateway", "move", "--to", `127.0.0.1:${port}`, "--state", before]);
    expect(told).toMatchObject({ exit: 0 });
    await expect.poll(() => node.identity.moveVersion, { timeout: 60_000 }).toBeGreaterThan(0);
    expect(node.identity.addresses).toEqual([{ host: "127.0.0.1", port }]);
    expect(node.identity.formerAddresses?.map((each) => `${each.host}:${each.port}`)).toEqual([first.address]);
    const heard = async (): Promise<unknown> =>
      JSON.parse((await quaymesh(["gateway", "move", "--state", before, "--json"])).stdout);
    await expect.poll(heard, { timeout: 60_000 }).toMatchObject({ devices: 1, unaware: [] });

    await publish();
    await first.running.end();
    // Nobody is there now: what is recorded waits.
    await publish();
    await rename(before, after);
    await using second = await startGateway(after, "--listen", `127.0.0.1:${port}`);
    await publish();
    await node.acknowledged(published.at(-1) ?? 0);
    expect(node.state).toMatchObject({ kind: "online", address: { port } });
    expect(node.identity.formerUntil).toBeGreaterThan(Date.now());
    await using client = await connect({ state: second.state });
    const values: unknown[] = [];
    for await (const { kind, data } of client.events({ after: 0 })) {
      if (kind === "test.tick") values.push(data);
      if (values.length === published.length) break;
    }
    expect(values).toEqual([0, 1, 2, 3]);
    expect(await client.devices.list()).toHaveLength(1);
    await node.stop();
    await running;
  }, 240_000);

  test("names only what can be dialed, and says when nothing was ever moved", async () => {
    await using directory = await temporaryDirectory();
    await using gateway = await startGateway(directory.path("gateway"));
    const bad = await quaymesh(["gateway", "move", "--to", "0.0.0.0:7420", "--state", gateway.state, "--json"]);
    expect(bad).toMatchObject({ exit: 2, error: { code: "REQUEST_INVALID" } });
    const never = await quaymesh(["gateway", "move", "--state", gateway.state, "--json"]);
    expect(never).toMatchObject({ exit: 0, stdout: "null\n" });
  }, 120_000);
});
