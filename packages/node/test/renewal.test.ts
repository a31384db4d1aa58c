import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { certificatesFromPem, readDeviceLeaf } from "@quaymesh/identity";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { describe, expect, it } from "vitest";
import { Node, type NodeLogLine } from "../src/index.ts";
import { FakeGateway } from "./support/fake-gateway.ts";
import { DEVICE_ID, pairState, temporaryDirectory } from "./support/paired-state.ts";
import { eagerClock, sharedAuthority } from "./support/scene.ts";

/** A node whose certificate is due, and what it logs about that. */
async function scene(renewAfter: number) {
  const authority = await sharedAuthority();
  const network = createMemoryNetwork();
  const directory = await temporaryDirectory();
  const key = await pairState(directory.path, authority, { renewAfter });
  const gateway = await FakeGateway.listen(network);
  const lines: NodeLogLine[] = [];
  const logged = Promise.withResolvers<NodeLogLine>();
  const log = (line: NodeLogLine): void => {
    lines.push(line);
    if (line.event.startsWith("certificate.")) logged.resolve(line);
  };
  const node = await Node.open({ state: directory.path, transport: network, clock: eagerClock, log });
  return {
    authority,
    key,
    gateway,
    node,
    logged: logged.promise,
    identity: () => readFile(join(directory.path, "identity.json"), "utf8"),
    async [Symbol.asyncDispose]() {
      await node.stop({ graceMs: 0, flushMs: 0 });
      await gateway.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("a certificate past half of its life", () => {
  it("is renewed over the session for the same key, and what is on disk is the new one", async () => {
    // Far enough in the past that the spread over a fleet does not matter.
    await using it = await scene(-1e15);
    const before = await it.identity();
    it.gateway.renew = (csr) =>
      it.authority.issueDeviceLeaf({
        csr,
        deviceId: DEVICE_ID,
        expectedSpkiSha256: it.key.spkiSha256,
        now: Date.now(),
      });
    const running = it.node.run();
    expect(await it.logged).toMatchObject({ event: "certificate.renewed" });
    expect(await it.identity()).not.toBe(before);
    const leaf = readDeviceLeaf(certificatesFromPem(it.node.identity.chainPem)[0] ?? new Uint8Array());
    expect(leaf).toMatchObject({ deviceId: DEVICE_ID, spkiSha256: it.key.spkiSha256 });
    expect(it.node.identity.renewAfter).toBeGreaterThan(Date.now());
    await it.node.stop();
    await running;
  });

  it.each([
    ["the gateway refuses", undefined],
    ["the new one names another device", "01JD0K3X9Y8QZ7V6T5S4R3P2N9"],
  ])("stays as it is when %s", async (_, deviceId) => {
    await using it = await scene(-1e15);
    const before = await it.identity();
    if (deviceId !== undefined) {
      it.gateway.renew = (csr) =>
        it.authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: it.key.spkiSha256, now: Date.now() });
    }
    const running = it.node.run();
    expect(await it.logged).toMatchObject({ level: "error", event: "certificate.not-renewed" });
    expect(await it.identity()).toBe(before);
    await it.node.stop();
    await running;
  });
});

describe("a renewal that the gateway asks for", () => {
  it("is made at once, and a new session begins with it", async () => {
    await using it = await scene(1e15);
    it.gateway.renew = (csr) =>
      it.authority.issueDeviceLeaf({
        csr,
        deviceId: DEVICE_ID,
        expectedSpkiSha256: it.key.spkiSha256,
        now: Date.now(),
      });
    const running = it.node.run();
    await it.gateway.until(() => it.gateway.sessions.length === 1);
    const before = it.node.identity.chainPem;
    await it.gateway.session.control.send({ type: "renew" });
    expect(await it.logged).toMatchObject({ event: "certificate.renewed" });
    await it.gateway.until(() => it.gateway.sessions.length === 2);
    expect(it.node.identity.chainPem).not.toBe(before);
    await it.node.stop();
    await running;
  });

  it("that is refused leaves the session and the certificate as they are", async () => {
    await using it = await scene(1e15);
    const running = it.node.run();
    await it.gateway.until(() => it.gateway.sessions.length === 1);
    await it.gateway.session.control.send({ type: "renew" });
    expect(await it.logged).toMatchObject({ level: "error", event: "certificate.not-renewed" });
    expect(it.gateway.sessions).toHaveLength(1);
    await it.node.stop();
    await running;
  });
});
