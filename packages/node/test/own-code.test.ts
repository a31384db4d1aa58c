import { join as joinPath } from "node:path";
import { ownCodeIdOf, parseOwnCode, Secret, type CodeSecret } from "@quaymesh/identity";
import { describe, expect, it } from "vitest";
import type { Clock } from "../src/clock.ts";
import { systemClock } from "../src/clock.ts";
import { join, type JoinStep } from "../src/index.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, DEVICE_ID, temporaryDirectory } from "./support/paired-state.ts";
import { sharedAuthority } from "./support/scene.ts";

/** What an operator's gateway makes of a code that was scanned. */
function scanned(text: string): CodeSecret {
  const { spkiSha256, secret } = parseOwnCode(text);
  return { kind: "node", codeId: ownCodeIdOf(secret), secret, spkiSha256 };
}

/** A node that shows its code on a screen which is the test. Between two knocks no time goes by. */
async function showing(options: { readonly afterKnock?: (knocks: number) => void } = {}) {
  const network = certificateNetwork();
  const directory = await temporaryDirectory();
  const steps: JoinStep[] = [];
  const shown = Promise.withResolvers<string>();
  const end = new AbortController();
  const pauses: number[] = [];
  const clock: Clock = {
    ...systemClock,
    random: () => 0,
    sleep: async (ms, signal) => {
      // Waiting for an answer takes its time; the pause between two knocks does not.
      if (ms > 10_000) return await systemClock.sleep(ms, signal);
      pauses.push(ms);
      options.afterKnock?.(pauses.length);
      await systemClock.sleep(1, signal);
    },
  };
  const state = joinPath(directory.path, "state");
  const joining = join({
    state,
    transport: network,
    invitation: { kind: "own", addresses: [PAIRING_ADDRESS] },
    name: "attic",
    clock,
    signal: end.signal,
    onStep: (step) => {
      steps.push(step);
      if (step.kind === "showing") shown.resolve(step.code);
    },
  });
  joining.catch(() => {});
  return {
    network,
    steps,
    pauses,
    joining,
    end,
    code: await shown.promise,
    [Symbol.asyncDispose]: async () => {
      end.abort(new Error("over"));
      await joining.catch(() => {});
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("a node that shows its own code", () => {
  it("knocks until it was scanned, shows the words, and pins the root of the gateway that proved it knows the code", async () => {
    await using it = await showing();
    // Nobody listens yet, as while no window is open.
    await expect.poll(() => it.pauses.length).toBeGreaterThan(2);
    await using gateway = await FakePairing.listen(it.network, await sharedAuthority());
    // Another window is open: still not this node's.
    gateway.open({ kind: "pin", pin: new Secret("48217093") });
    await expect.poll(() => gateway.streams).toBeGreaterThan(5);
    expect(gateway.requests).toEqual([]);
    gateway.close();
    gateway.open(scanned(it.code));
    await gateway.until(() => gateway.requests.length === 1);
    const [request] = gateway.requests;
    expect(request).toMatchObject({ name: "attic" });
    gateway.approve();
    const result = await it.joining;
    expect(result).toMatchObject({ deviceId: DEVICE_ID, mesh: "harbor", words: request?.words });
    expect(it.steps.map(({ kind }) => kind)).toEqual(["showing", "waiting", "waiting", "proved", "issued", "stored"]);
    expect(it.steps.filter((step) => step.kind === "waiting").map(({ why }) => why)).toEqual([
      "GATEWAY_UNREACHABLE",
      "PAIR_CLOSED",
    ]);
    expect(it.pauses.every((ms) => ms <= 5_000)).toBe(true);
  });

  it("goes on when its operator let the time go by, with the same code", async () => {
    await using it = await showing();
    await using gateway = await FakePairing.listen(it.network, await sharedAuthority());
    gateway.open(scanned(it.code));
    await gateway.until(() => gateway.requests.length === 1);
    gateway.expire();
    gateway.open(scanned(it.code));
    await gateway.until(() => gateway.requests.length === 2);
    gateway.approve();
    await expect(it.joining).resolves.toMatchObject({ deviceId: DEVICE_ID });
  });

  it("takes no for an answer from a gateway that proved itself", async () => {
    await using it = await showing();
    await using gateway = await FakePairing.listen(it.network, await sharedAuthority());
    gateway.open(scanned(it.code));
    await gateway.until(() => gateway.requests.length === 1);
    gateway.deny();
    await expect(it.joining).rejects.toMatchObject({ code: "PAIR_DENIED" });
  });

  it("is not paired by whoever listens at that address without the code, and says so after three tries", async () => {
    await using it = await showing();
    await using impostor = await FakePairing.listen(it.network, await createAuthority("impostor"));
    const { spkiSha256, secret } = parseOwnCode(it.code);
    const codeId = ownCodeIdOf(secret);
    impostor.open({ kind: "node", codeId, secret: new Secret(new Uint8Array(16)), spkiSha256 });
    await expect(it.joining).rejects.toMatchObject({ code: "POSSIBLE_INTERCEPTION" });
    expect(impostor.requests).toEqual([]);
  });

  it("stops when it is told to, at any moment", async () => {
    await using it = await showing();
    await expect.poll(() => it.pauses.length).toBeGreaterThan(0);
    it.end.abort(new Error("enough"));
    await expect(it.joining).rejects.toThrow("enough");
  });
});
