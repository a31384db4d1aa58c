import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { certificatesFromPem, readDeviceLeaf, type Authority } from "@quaymesh/identity";
import type { Authorize } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { Node, type NodeLogLine, type NodeOptions } from "../src/index.ts";
import { FakeGateway } from "./support/fake-gateway.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, MESH_ADDRESS, pairState, temporaryDirectory } from "./support/paired-state.ts";
import { eagerClock, untilState } from "./support/scene.ts";

const DAY = 86_400_000;
/** When the device was paired: its certificate has run out since. */
const PAIRED_AT = Date.now() - 60 * DAY;

let made: Promise<Authority> | undefined;

/** A mesh endpoint that looks at dates, by its own clock. */
function byDates(now: () => number): Authorize {
  return ({ chain }) => {
    const leaf = readDeviceLeaf(chain[0] ?? new Uint8Array());
    const fits = typeof leaf !== "string" && leaf.notBefore <= now() && now() < leaf.notAfter;
    return fits ? { kind: "accept" } : { kind: "refuse", reason: "expired" };
  };
}

async function openScene(
  options: {
    readonly pairedAt?: number;
    readonly pairing?: boolean;
    readonly now?: () => number;
  } & Partial<NodeOptions> = {},
) {
  const { pairedAt = PAIRED_AT, pairing = true, now = Date.now, ...more } = options;
  made ??= createAuthority("harbor", Date.now() - 300 * DAY);
  const authority = await made;
  const network = certificateNetwork();
  const directory = await temporaryDirectory();
  const known = pairing ? { pairingAddresses: [PAIRING_ADDRESS] } : {};
  const key = await pairState(directory.path, authority, { now: pairedAt, ...known });
  const { credentials } = await authority.issueGatewayLeaf({ now: Date.now() });
  const gateway = await FakeGateway.listen(network, { credentials, authorize: byDates(now) });
  const lines: NodeLogLine[] = [];
  const log = (line: NodeLogLine): void => void lines.push(line);
  const node = await Node.open({ state: directory.path, transport: network, clock: eagerClock, log, ...more });
  return {
    authority,
    network,
    key,
    gateway,
    node,
    lines,
    identity: async () => await readFile(join(directory.path, "identity.json"), "utf8"),
    async [Symbol.asyncDispose]() {
      await node.stop({ graceMs: 0, flushMs: 0 });
      await gateway.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("a node that slept past its certificate", () => {
  it("gets another for the same key at the pairing endpoint, stores it, and goes online with it", async () => {
    await using it = await openScene();
    await using pairing = await FakePairing.listen(it.network, it.authority);
    const running = it.node.run();
    await untilState(it.node, "online");
    expect(pairing.renewals).toBe(1);
    expect(pairing.requests).toEqual([]);
    const leaf = readDeviceLeaf(certificatesFromPem(it.node.identity.chainPem)[0] ?? new Uint8Array());
    expect(leaf).toMatchObject({ spkiSha256: it.key.spkiSha256 });
    expect(it.node.identity.notAfter).toBeGreaterThan(Date.now());
    expect(await it.identity()).toContain(`"notAfter": ${it.node.identity.notAfter}`);
    expect(it.lines.map(({ event }) => event)).toContain("link.renewing");
    await it.node.stop();
    await running;
  });

  it("waits while that endpoint is closed, says where it asked, and goes on once it opens", async () => {
    await using it = await openScene();
    const running = it.node.run();
    const { error } = await untilState(it.node, "waiting");
    expect(error).toMatchObject({ code: "CERTIFICATE_EXPIRED", details: { renewal: "GATEWAY_UNREACHABLE" } });
    expect(error.message).toContain("192.0.2.10:7421");
    await using _pairing = await FakePairing.listen(it.network, it.authority);
    await untilState(it.node, "online");
    await it.node.stop();
    await running;
  });

  it.each([
    ["RENEW_TOO_LATE", { kind: "device" as const, deviceId: "", notAfter: Date.now() - 181 * DAY }],
    ["DEVICE_REVOKED", { kind: "revoked" as const }],
    ["DEVICE_UNKNOWN", { kind: "unknown" as const }],
  ])("stops where its gateway answers %s", async (code, finding) => {
    await using it = await openScene();
    await using pairing = await FakePairing.listen(it.network, it.authority);
    pairing.finding = (spkiSha256) => ({ ...finding, spkiSha256 }) as ReturnType<typeof pairing.finding>;
    await expect(it.node.run()).rejects.toMatchObject({ code });
  });

  it("stops where it knows nobody to ask", async () => {
    await using it = await openScene({ pairing: false });
    await expect(it.node.run()).rejects.toMatchObject({ code: "CERTIFICATE_EXPIRED" });
  });

  it("does not ask a gateway of another mesh, and waits for its own", async () => {
    await using it = await openScene();
    const before = await it.identity();
    await using pairing = await FakePairing.listen(it.network, await createAuthority("another"));
    const running = it.node.run();
    const { error } = await untilState(it.node, "waiting");
    expect(error.details).toMatchObject({ renewal: "GATEWAY_PIN_MISMATCH" });
    expect(pairing.streams).toBe(0);
    expect(await it.identity()).toBe(before);
    await it.node.stop();
    await running;
  });

  it("does not keep asking a gateway that refuses what it has just given", async () => {
    await using it = await openScene({ now: () => Date.now() + 1000 * DAY });
    await using pairing = await FakePairing.listen(it.network, it.authority);
    const running = it.node.run();
    await untilState(it.node, "waiting");
    expect(pairing.renewals).toBe(2);
    await it.node.stop();
    await running;
  });
});

describe("a wrong clock", () => {
  it("is reported with both clocks, waited for, and when it is right the node goes on by itself", async () => {
    let aheadMs = 40 * DAY;
    await using it = await openScene({ pairedAt: Date.now(), now: () => Date.now() + aheadMs });
    await using pairing = await FakePairing.listen(it.network, it.authority);
    pairing.now = () => Date.now() + aheadMs;
    const running = it.node.run();
    const { error } = await untilState(it.node, "waiting");
    expect(error).toMatchObject({
      code: "CLOCK_SKEW",
      details: { gatewayClock: expect.any(String), clock: expect.any(String) },
    });
    const { gatewayClock, clock } = error.details;
    expect(Date.parse(String(gatewayClock)) - Date.parse(String(clock))).toBeGreaterThan(39 * DAY);
    aheadMs = 0;
    await untilState(it.node, "online");
    await it.node.stop();
    await running;
  });

  it("of ten minutes is nothing: a certificate is dated back by as much", async () => {
    await using it = await openScene({ now: () => Date.now() + 9 * 60_000 });
    await using pairing = await FakePairing.listen(it.network, it.authority);
    pairing.now = () => Date.now() + 9 * 60_000;
    const running = it.node.run();
    await untilState(it.node, "online");
    await it.node.stop();
    await running;
  });
});

describe("the pairing endpoint's address", () => {
  it("is learned from the welcome, kept, and not forgotten where a gateway does not tell it", async () => {
    await using it = await openScene({ pairedAt: Date.now(), pairing: false });
    it.gateway.pairing = ["0.0.0.0:9000", "[2001:db8::1]:9001", "nonsense"];
    const running = it.node.run();
    await untilState(it.node, "online");
    await expect
      .poll(() => it.node.identity.pairingAddresses)
      .toEqual([
        { host: MESH_ADDRESS.host, port: 9000 },
        { host: "2001:db8::1", port: 9001 },
      ]);
    expect(await it.identity()).toContain("[2001:db8::1]:9001");
    await it.node.stop();
    await running;
  });
});
