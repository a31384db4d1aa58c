import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { codeIdOf, Secret, type Authority, type Ticket } from "@quaymesh/identity";
import type { Transport } from "@quaymesh/protocol";
import type { MemoryNetwork } from "@quaymesh/protocol/memory";
import { describe, expect, it } from "vitest";
import { systemClock } from "../src/clock.ts";
import {
  join,
  leave,
  Node,
  readNodeStatus,
  type JoinInvitation,
  type JoinOptions,
  type JoinStep,
} from "../src/index.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, DEVICE_ID, temporaryDirectory } from "./support/paired-state.ts";
import { sharedAuthority } from "./support/scene.ts";

const SECRET: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => index);

function ticketOf(authority: Authority, secret = SECRET): Ticket {
  const own = new Secret(secret.slice());
  return {
    meshId: authority.meshId,
    rootSpkiSha256: authority.rootSpkiSha256,
    addresses: [PAIRING_ADDRESS],
    secret: own,
    codeId: codeIdOf(own),
    expiresAt: Date.now() + 60_000,
  };
}

const byTicket = (authority: Authority, secret?: Uint8Array): JoinInvitation => ({
  kind: "ticket",
  ticket: ticketOf(authority, secret),
});
const byPin = (pin = "48217093"): JoinInvitation => ({ kind: "pin", address: PAIRING_ADDRESS, pin: new Secret(pin) });

interface Pairing extends AsyncDisposable {
  readonly network: MemoryNetwork;
  readonly gateway: FakePairing;
  readonly state: string;
  readonly steps: JoinStep[];
  join(invitation: JoinInvitation, more?: Partial<JoinOptions>): ReturnType<typeof join>;
}

async function openPairing(authority?: Authority): Promise<Pairing> {
  const network = certificateNetwork();
  const gateway = await FakePairing.listen(network, authority ?? (await sharedAuthority()));
  const directory = await temporaryDirectory();
  const steps: JoinStep[] = [];
  const state = joinPath(directory.path, "state");
  return {
    network,
    gateway,
    state,
    steps,
    join: (invitation, more = {}) =>
      join({ state, transport: network, invitation, name: "build-box", onStep: (step) => steps.push(step), ...more }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("joining", () => {
  it("with a ticket ends in an identity that a node runs on", async () => {
    await using it = await openPairing();
    const { authority } = it.gateway;
    it.gateway.open({ ...ticketOf(authority), kind: "ticket" });
    const joining = it.join(byTicket(authority));
    await it.gateway.until(() => it.gateway.requests.length === 1);
    const [request] = it.gateway.requests;
    expect(request).toMatchObject({ name: "build-box" });
    it.gateway.approve();
    const result = await joining;
    const proved = it.steps.find(({ kind }) => kind === "proved");
    expect(proved).toMatchObject({ mesh: "harbor", requestId: request?.requestId, words: request?.words });
    expect(result).toMatchObject({
      deviceId: DEVICE_ID,
      meshId: authority.meshId,
      mesh: "harbor",
      // The mesh endpoint listens everywhere: it is reached where the pairing endpoint was.
      addresses: [{ host: "192.0.2.10", port: 7420 }],
    });
    expect(result.words).toEqual(request?.words);
    expect(it.steps.map(({ kind }) => kind)).toEqual(["dialing", "connected", "proved", "issued", "stored"]);
    expect(it.gateway.done).toBe(1);
    const node = await Node.open({ state: it.state, transport: it.network });
    expect(node.identity.deviceId).toBe(DEVICE_ID);
    await node.stop();
  });

  it("with a PIN trusts the root that the PIN's knower showed", async () => {
    await using it = await openPairing();
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const joining = it.join(byPin());
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await expect(joining).resolves.toMatchObject({ deviceId: DEVICE_ID });
  });

  it("leaves files that nobody else can read, and the secret erased", async () => {
    await using it = await openPairing();
    it.gateway.open({ ...ticketOf(it.gateway.authority), kind: "ticket" });
    const ticket = ticketOf(it.gateway.authority);
    const joining = it.join({ kind: "ticket", ticket });
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await joining;
    expect((await stat(it.state)).mode & 0o777).toBe(0o700);
    for (const file of ["device.key", "identity.json"]) {
      expect((await stat(joinPath(it.state, file))).mode & 0o777).toBe(0o600);
    }
    expect(() => ticket.secret.reveal()).toThrow(TypeError);
    expect(await readFile(joinPath(it.state, "identity.json"), "utf8")).not.toContain("PRIVATE");
    expect(await readNodeStatus(it.state)).toMatchObject({ isRunning: false, identity: { mesh: "harbor" } });
  });

  it("refuses a gateway with another root before it sends a byte, and shows both fingerprints", async () => {
    await using it = await openPairing(await createAuthority("impostor"));
    const authority = await sharedAuthority();
    const failed = it.join(byTicket(authority));
    await expect(failed).rejects.toMatchObject({
      code: "GATEWAY_PIN_MISMATCH",
      details: {
        address: "192.0.2.10:7421",
        expectedRoot: expect.stringMatching(/^([0-9a-f]{2}:){31}[0-9a-f]{2}$/),
        seenRoot: expect.stringMatching(/^([0-9a-f]{2}:){31}[0-9a-f]{2}$/),
      },
    });
    expect(it.gateway.streams).toBe(0);
  });

  it("refuses another root once it is paired, PIN or ticket", async () => {
    await using it = await openPairing();
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const joining = it.join(byPin());
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await joining;
    await it.gateway[Symbol.asyncDispose]();
    const other = await createAuthority("impostor");
    await using impostor = await FakePairing.listen(it.network, other);
    impostor.open({ kind: "pin", pin: new Secret("11111111") });
    await expect(it.join(byPin("11111111"))).rejects.toMatchObject({ code: "GATEWAY_PIN_MISMATCH" });
    await expect(it.join(byTicket(other))).rejects.toMatchObject({ code: "GATEWAY_PIN_MISMATCH" });
    expect(impostor.streams).toBe(0);
  });

  it.each([
    ["a wrong PIN", byPin("00000000"), "PAIR_CODE_INVALID"],
    ["no open window", byPin(), "PAIR_CLOSED"],
  ])("fails with the gateway's own code for %s and stores no identity", async (_, invitation, code) => {
    await using it = await openPairing();
    if (code === "PAIR_CODE_INVALID") it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    await expect(it.join(invitation)).rejects.toMatchObject({ name: "NodeError", code });
    await expect(Node.open({ state: it.state, transport: it.network })).rejects.toMatchObject({
      code: "NODE_NOT_PAIRED",
    });
  });

  it("fails when the operator says no", async () => {
    await using it = await openPairing();
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const failed = expect(it.join(byPin())).rejects.toMatchObject({ code: "PAIR_DENIED" });
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.deny();
    await failed;
  });

  it("does not store a certificate that is not for it", async () => {
    await using it = await openPairing();
    it.gateway.spoil = (issued) => ({ ...issued, deviceId: "01JD0K3X9Y8QZ7V6T5S4R3P2N9" });
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const failed = expect(it.join(byPin())).rejects.toMatchObject({ code: "GATEWAY_UNTRUSTED" });
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await failed;
    await expect(Node.open({ state: it.state, transport: it.network })).rejects.toMatchObject({
      code: "NODE_NOT_PAIRED",
    });
  });

  it("cut off before it was approved can be run again, with the same key", async () => {
    await using it = await openPairing();
    const { authority } = it.gateway;
    it.gateway.open({ ...ticketOf(authority), kind: "ticket" });
    const first = expect(it.join(byTicket(authority))).rejects.toMatchObject({ name: "NodeError" });
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.network.sever();
    await first;
    const key = await readFile(joinPath(it.state, "device.key"), "utf8");
    const again = it.join(byTicket(authority));
    await it.gateway.until(() => it.gateway.requests.length === 2);
    expect(it.gateway.requests[1]?.requestId).toBe(it.gateway.requests[0]?.requestId);
    it.gateway.approve();
    await again;
    expect(await readFile(joinPath(it.state, "device.key"), "utf8")).toBe(key);
  });

  it("tries the next address of a ticket, and says when none answers", async () => {
    await using it = await openPairing();
    const ticket: Ticket = { ...ticketOf(it.gateway.authority), addresses: [{ host: "192.0.2.99", port: 1 }] };
    await expect(it.join({ kind: "ticket", ticket })).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
    // Nobody was asked with it, so it is still good.
    expect(ticket.secret.reveal()).toEqual(SECRET);
    it.gateway.open({ ...ticketOf(it.gateway.authority), kind: "ticket" });
    const addresses = [...ticket.addresses, PAIRING_ADDRESS];
    const joining = it.join({ kind: "ticket", ticket: { ...ticket, addresses } });
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await joining;
  });

  it("refuses an expired ticket without dialing, and ends with its signal's reason", async () => {
    await using it = await openPairing();
    const noNetwork: Transport = {
      listen: () => Promise.reject(new Error("no")),
      dial: () => Promise.reject(new Error("no")),
    };
    const clock = { ...systemClock, now: () => Date.now() + 61_000 };
    const late = it.join(byTicket(it.gateway.authority), { clock, transport: noNetwork });
    await expect(late).rejects.toMatchObject({ code: "TICKET_EXPIRED" });
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const abort = new AbortController();
    const aborted = expect(it.join(byPin(), { signal: abort.signal })).rejects.toThrow("Ctrl-C");
    await it.gateway.until(() => it.gateway.requests.length === 1);
    abort.abort(new Error("Ctrl-C"));
    await aborted;
  });
});

describe("leaving", () => {
  it("forgets key, identity and events, and lets the machine join another mesh", async () => {
    await using it = await openPairing();
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const joining = it.join(byPin());
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await joining;
    const node = await Node.open({ state: it.state, transport: it.network });
    await expect(leave({ state: it.state })).rejects.toMatchObject({ code: "NODE_ALREADY_RUNNING" });
    await node.stop();
    expect(await leave({ state: it.state })).toBe(true);
    expect(await leave({ state: it.state })).toBe(false);
    expect(await readdir(it.state)).toEqual(["lock"]);
    await it.gateway[Symbol.asyncDispose]();
    await using other = await FakePairing.listen(it.network, await createAuthority("elsewhere"));
    other.open({ kind: "pin", pin: new Secret("11111111") });
    const again = it.join(byPin("11111111"));
    await other.until(() => other.requests.length === 1);
    other.approve();
    await expect(again).resolves.toMatchObject({ mesh: "elsewhere" });
  });

  it("from where nothing ever was is no error", async () => {
    expect(await leave({ state: "/nonexistent/quaymesh" })).toBe(false);
  });
});

describe("damage to the state directory", () => {
  async function paired(it: Pairing): Promise<void> {
    it.gateway.open({ kind: "pin", pin: new Secret("48217093") });
    const joining = it.join(byPin());
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    await joining;
  }
  const open = (it: Pairing): Promise<Node> => Node.open({ state: it.state, transport: it.network });

  it.each([
    ["an identity that is no JSON", "identity.json", "{", "STATE_CORRUPT"],
    ["an identity of another version", "identity.json", '{"version":2}', "STATE_VERSION"],
    ["an identity without its fields", "identity.json", '{"version":1}', "STATE_CORRUPT"],
    ["an empty key", "device.key", "", "STATE_CORRUPT"],
  ])("%s is refused with its own code", async (_, file, content, code) => {
    await using it = await openPairing();
    await paired(it);
    await writeFile(joinPath(it.state, file), content);
    await expect(open(it)).rejects.toMatchObject({ name: "NodeError", code });
  });

  it("another device's key is refused", async () => {
    await using it = await openPairing();
    await paired(it);
    await using other = await openPairing();
    await paired(other);
    await writeFile(joinPath(it.state, "device.key"), await readFile(joinPath(other.state, "device.key")));
    await expect(open(it)).rejects.toMatchObject({ code: "STATE_CORRUPT" });
  });
});
