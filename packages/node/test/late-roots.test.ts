/** A node that slept while the root of its mesh was rotated, and found the pairing endpoint closed. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Authority, certificatesFromPem, createKeyFile, isBelowRoot, KeyStore } from "@quaymesh/identity";
import { describe, expect, it } from "vitest";
import { Node, type NodeLogLine } from "../src/index.ts";
import { FakeGateway } from "./support/fake-gateway.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, pairState, temporaryDirectory } from "./support/paired-state.ts";
import { eagerClock, untilState } from "./support/scene.ts";

async function openScene({ knowsPairing = true } = {}) {
  const directory = await temporaryDirectory();
  const key = await createKeyFile(join(directory.path, "sealing.key"));
  const store = await KeyStore.open(join(directory.path, "keys"), { key });
  const authority = await Authority.create({ store, meshName: "harbor", now: Date.now() });
  const state = join(directory.path, "node");
  await mkdir(state, { mode: 0o700 });
  await pairState(state, authority, knowsPairing ? { pairingAddresses: [PAIRING_ADDRESS] } : {});
  await authority.startRotation({ now: Date.now(), overlapMs: 1000 });
  await authority.switchRotation();
  await authority.finishRotation();
  const network = certificateNetwork({
    isAnchored: ({ chain }, anchorsPem) => certificatesFromPem(anchorsPem).some((root) => isBelowRoot(chain[1], root)),
  });
  const { credentials } = await authority.issueGatewayLeaf({ now: Date.now() });
  const gateway = await FakeGateway.listen(network, { credentials, anchorsPem: authority.anchorsPem });
  const lines: NodeLogLine[] = [];
  const log = (line: NodeLogLine): void => void lines.push(line);
  const node = await Node.open({ state, transport: network, clock: eagerClock, log });
  return {
    authority,
    network,
    node,
    lines,
    async [Symbol.asyncDispose]() {
      await node.stop({ graceMs: 0, flushMs: 0 });
      await gateway.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("a node that slept through a rotation of the root", () => {
  it("asks a closed pairing endpoint for as long as it takes, says what opens it, and is back once it is open", async () => {
    await using it = await openScene();
    const running = it.node.run();
    const { error } = await untilState(it.node, "waiting");
    expect(error).toMatchObject({ code: "GATEWAY_UNTRUSTED", details: { roots: "GATEWAY_UNREACHABLE" } });
    expect(error.message).toContain("192.0.2.10:7421");
    expect(error.message).toContain("--pairing-door always");
    await expect.poll(() => it.lines.filter(({ event }) => event === "link.waiting").length).toBeGreaterThan(30);
    await using pairing = await FakePairing.listen(it.network, it.authority);
    pairing.roots = () => ({ type: "roots", statements: [...it.authority.rootStatements], settled: true });
    await untilState(it.node, "online");
    expect(it.node.identity).toMatchObject({ rootVersion: 1 });
    expect(pairing.requests).toEqual([]);
    await it.node.stop();
    await running;
  });

  it("stops where what answers leads to no root that it can follow, and where it knows nobody to ask", async () => {
    await using it = await openScene();
    await using _pairing = await FakePairing.listen(it.network, await createAuthority("another"));
    const error: unknown = await it.node.run().catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "GATEWAY_UNTRUSTED", details: { roots: expect.any(String) } });
    expect(String(error)).not.toContain("keeps asking");
    await using lonely = await openScene({ knowsPairing: false });
    await expect(lonely.node.run()).rejects.toMatchObject({ code: "GATEWAY_UNTRUSTED" });
  });
});
