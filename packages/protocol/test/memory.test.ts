import { expect, it } from "vitest";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { describeTransportContract, type TransportUnderTest } from "../../../test/contract/transport.ts";

const named = (name: string) => ({ keyPem: `key of ${name}`, chainPem: `chain of ${name}` });

async function setup(): Promise<TransportUnderTest> {
  return {
    transport: createMemoryNetwork(),
    host: "memory",
    serverName: "contract.quaymesh.internal",
    anchorsPem: "root",
    server: named("server"),
    client: named("client"),
    otherClient: named("other client"),
  };
}

describeTransportContract("memory", setup);

it("a severed network leaves both ends idle, and can be dialed again", async () => {
  const network = createMemoryNetwork();
  const trust = { kind: "anchored", anchorsPem: "root" } as const;
  await using listener = await network.listen({
    address: { host: "memory", port: 0 },
    protocol: "p/1",
    credentials: named("server"),
    trust,
  });
  const dial = () =>
    network.dial(listener.address, { protocol: "p/1", serverName: "s", credentials: named("client"), trust });
  const accepted = listener[Symbol.asyncIterator]();
  const near = await dial();
  const far = await accepted.next();
  network.sever();
  expect(await near.closed).toEqual({ kind: "idle" });
  expect(await far.value?.closed).toEqual({ kind: "idle" });
  await using again = await dial();
  expect(again.peer).toEqual(near.peer);
});

it("judges chains by what it was given for that", async () => {
  const network = createMemoryNetwork({
    isAnchored: (peer, anchorsPem) => new TextDecoder().decode(peer.chain[0]).endsWith(anchorsPem),
    peerOf: ({ chainPem }) => {
      if (chainPem === "") throw new Error("no certificate");
      return { chain: [new TextEncoder().encode(chainPem)], spkiSha256: new Uint8Array(32) };
    },
  });
  const options = (root: string) =>
    ({ protocol: "p/1", serverName: "s", trust: { kind: "anchored", anchorsPem: root } }) as const;
  const at = (chainPem: string) => ({ credentials: { keyPem: "", chainPem } });
  await using listener = await network.listen({
    address: { host: "memory", port: 0 },
    ...options("root-a"),
    ...at("gateway of root-a"),
  });
  listener.setTrustAnchors("root-b");
  const former = await network.dial(listener.address, { ...options("root-a"), ...at("node of root-a") });
  expect(await former.closed).toMatchObject({ kind: "transport", code: 0x12e, byPeer: true });
  listener.setTrustAnchors("root-a");
  const stranger = await network.dial(listener.address, { ...options("root-a"), ...at("node of root-b") });
  expect(await stranger.closed).toMatchObject({ kind: "transport", code: 0x12e, byPeer: true });
  await expect(network.dial(listener.address, { ...options("root-b"), ...at("x of root-a") })).rejects.toMatchObject({
    code: "PEER_REFUSED",
  });
  await expect(network.dial(listener.address, { ...options("root-a"), ...at("") })).rejects.toMatchObject({
    code: "CREDENTIALS_INVALID",
  });
});
