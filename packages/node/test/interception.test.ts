import { readFile, writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { KeyPair, Secret, selfSignedCredentials, type Authority } from "@quaymesh/identity";
import type { ByteStream, Connection, Transport } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { join, leave, type JoinInvitation } from "../src/index.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, DEVICE_ID, temporaryDirectory } from "./support/paired-state.ts";
import { sharedAuthority } from "./support/scene.ts";

const REAL_ADDRESS = { host: "192.0.2.11", port: 7421 };
const PIN = "48217093";
const byPin = (pin = PIN): JoinInvitation => ({ kind: "pin", address: PAIRING_ADDRESS, pin: new Secret(pin) });

/** Somebody between the node and its gateway, with a mesh of their own: every byte is passed on, both ways. */
async function interceptor(network: Transport, authority: Authority): Promise<AsyncDisposable> {
  const { credentials } = await authority.issuePairingLeaf({ now: Date.now() });
  const listener = await network.listen({
    address: PAIRING_ADDRESS,
    protocol: "quaymesh-pair/1",
    credentials,
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
  });
  const own = await selfSignedCredentials(await KeyPair.generate(), { now: Date.now() });
  const relay = async (victim: Connection): Promise<void> => {
    const gateway = await network.dial(REAL_ADDRESS, {
      protocol: "quaymesh-pair/1",
      serverName: "",
      credentials: own,
      trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    });
    for await (const stream of victim.incomingStreams) {
      const onward = await gateway.openStream();
      await Promise.all([pass(stream, onward), pass(onward, stream)]);
    }
  };
  void (async () => {
    for await (const victim of listener) void relay(victim).catch(() => victim.close(0));
  })();
  return { [Symbol.asyncDispose]: () => listener.close() };
}

async function pass(from: ByteStream, to: ByteStream): Promise<void> {
  try {
    for (let chunk = await from.read(); chunk !== null; chunk = await from.read()) await to.write(chunk);
    await to.end();
  } catch {
    to.reset(0);
  }
}

interface Scene extends AsyncDisposable {
  readonly gateway: FakePairing;
  readonly state: string;
  attempt(invitation?: JoinInvitation): Promise<unknown>;
}

/** A gateway with a PIN window, and the node's way to it: through somebody in between, or straight. */
async function scene(way: "intercepted" | "straight"): Promise<Scene> {
  const network = certificateNetwork();
  const directory = await temporaryDirectory();
  const stack = new AsyncDisposableStack();
  stack.use(directory);
  if (way === "intercepted") stack.use(await interceptor(network, await createAuthority("impostor")));
  const address = way === "intercepted" ? REAL_ADDRESS : PAIRING_ADDRESS;
  const gateway = stack.use(await FakePairing.listen(network, await sharedAuthority(), address));
  gateway.open({ kind: "pin", pin: new Secret(PIN) });
  const state = joinPath(directory.path, "state");
  return {
    gateway,
    state,
    attempt: (invitation = byPin()) =>
      join({ state, transport: network, invitation, name: "build-box" }).catch((error: unknown) => error),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe("somebody in between, with a certificate of their own", () => {
  it("does not get the node's secret proved: each attempt burns one try, and the third is called a possible interception", async () => {
    await using it = await scene("intercepted");
    expect(await it.attempt()).toMatchObject({ code: "PAIR_CODE_INVALID" });
    expect(it.gateway.failures).toBe(1);
    expect(await it.attempt()).toMatchObject({ code: "PAIR_CODE_INVALID" });
    expect(it.gateway.failures).toBe(2);
    const third = await it.attempt();
    expect(third).toMatchObject({
      name: "NodeError",
      code: "POSSIBLE_INTERCEPTION",
      message: expect.stringContaining("possible interception: 3 attempts in a row at 192.0.2.10:7421"),
      cause: { code: "PAIR_CODE_INVALID" },
      details: { seenRoot: expect.stringMatching(/^([0-9a-f]{2}:){31}[0-9a-f]{2}$/u) },
    });
    // The right PIN was burnt, and nobody was let in.
    expect(it.gateway.failures).toBeUndefined();
    expect(it.gateway.requests).toEqual([]);
  });

  it("is remembered over restarts of the command, without the PIN, and forgotten with the node's state", async () => {
    await using it = await scene("intercepted");
    await it.attempt();
    const kept = await readFile(joinPath(it.state, "unproved.json"), "utf8");
    expect(JSON.parse(kept)).toMatchObject([{ address: "192.0.2.10:7421", count: 1 }]);
    expect(kept).not.toContain(PIN);
    await leave({ state: it.state });
    await expect(readFile(joinPath(it.state, "unproved.json"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("is not cried where a gateway says why: too many attempts, or no window", async () => {
    await using it = await scene("straight");
    for (const pin of ["00000000", "00000001"]) {
      expect(await it.attempt(byPin(pin))).toMatchObject({ code: "PAIR_CODE_INVALID" });
    }
    it.gateway.close();
    for (const _ of [1, 2, 3]) expect(await it.attempt()).toMatchObject({ code: "PAIR_CLOSED" });
  });

  it("is out of the question once a gateway has proved itself: wrong PINs before are forgotten", async () => {
    await using it = await scene("straight");
    for (const pin of ["00000000", "00000001"]) await it.attempt(byPin(pin));
    const joining = it.attempt();
    await it.gateway.until(() => it.gateway.requests.length === 1);
    it.gateway.approve();
    expect(await joining).toMatchObject({ deviceId: DEVICE_ID });
    expect(JSON.parse(await readFile(joinPath(it.state, "unproved.json"), "utf8"))).toEqual([]);
  });

  it("is warned of all the same where what was remembered is damaged", async () => {
    await using it = await scene("intercepted");
    await it.attempt();
    await writeFile(joinPath(it.state, "unproved.json"), '[{"address":1},');
    expect(await it.attempt()).toMatchObject({ code: "PAIR_CODE_INVALID" });
    expect(await it.attempt()).toMatchObject({ code: "PAIR_CODE_INVALID" });
  });
});
