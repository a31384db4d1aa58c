/** What a node makes of news of its mesh: it stores what is signed, answers once it has, and lets go of the old only for what proved itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Authority, certificatesFromPem, createKeyFile, KeyStore } from "@quaymesh/identity";
import type { MeshNewsApplied, Moved, Roots } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { describe, expect, it } from "vitest";
import { Node, type NodeLogLine } from "../src/index.ts";
import { dialAddresses, knownMove, withMove, withPairing, withSessionAt } from "../src/mesh/moves.ts";
import { withoutOldRoot, withRoots } from "../src/mesh/roots.ts";
import { findIdentity, type NodeIdentity } from "../src/state/identity-file.ts";
import { IdentityKeeper } from "../src/state/identity-keeper.ts";
import { layoutOf } from "../src/state/layout.ts";
import { FakeGateway } from "./support/fake-gateway.ts";
import { MESH_ADDRESS, pairState, temporaryDirectory } from "./support/paired-state.ts";
import { eagerClock } from "./support/scene.ts";

const DAY = 86_400_000;
const NEW_ADDRESS = { host: "192.0.2.20", port: 7420 };

/** Gone from the disk again, unless `kept` is where it stays. */
async function rotatedAuthority(kept?: string): Promise<{ readonly authority: Authority }> {
  await using passing = await temporaryDirectory();
  const directory = kept === undefined ? passing : { path: kept };
  const store = await KeyStore.open(join(directory.path, "keys"), {
    key: await createKeyFile(join(directory.path, "k")),
  });
  const authority = await Authority.create({ store, meshName: "harbor", now: Date.now() });
  await authority.startRotation({ now: Date.now(), overlapMs: 45 * DAY });
  return { authority };
}

function rootsOf(authority: Authority, settled = false): Roots {
  return { type: "roots", statements: [...authority.rootStatements], settled };
}

function moveOf(authority: Authority, version = 1, addresses = ["192.0.2.20:7420"]): Moved {
  const move = authority.signMove({ version, time: Date.now(), addresses, pairing: ["192.0.2.20:7421"] });
  return { type: "moved", ...move, addresses: [...move.addresses], pairing: [...move.pairing] };
}

async function scene() {
  const { authority } = await rotatedAuthority();
  const network = createMemoryNetwork();
  const directory = await temporaryDirectory();
  await pairState(directory.path, authority);
  const gateway = await FakeGateway.listen(network);
  const lines: NodeLogLine[] = [];
  const said = Promise.withResolvers<NodeLogLine>();
  const node = await Node.open({
    state: directory.path,
    transport: network,
    clock: eagerClock,
    log: (line) => {
      lines.push(line);
      if (/^(?:roots|move)\./u.test(line.event)) said.resolve(line);
    },
  });
  const running = node.run();
  await gateway.until(() => gateway.sessions.length > 0);
  for await (const state of node.states()) if (state.kind === "online") break;
  const { session } = gateway;
  return {
    authority,
    gateway,
    node,
    session,
    lines,
    said: said.promise,
    stored: async () => await findIdentity(layoutOf(directory.path)),
    file: () => readFile(join(directory.path, "identity.json"), "utf8"),
    applied: (): readonly MeshNewsApplied[] => gateway.applied,
    async [Symbol.asyncDispose]() {
      await node.stop({ graceMs: 0, flushMs: 0 });
      await running;
      await gateway.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("news over a session", () => {
  it("of a root that the trusted one signed is stored, and only then answered", async () => {
    await using it = await scene();
    await it.session.control.send(rootsOf(it.authority));
    await it.gateway.until(() => it.applied().length > 0);
    const stored = await it.stored();
    expect(certificatesFromPem(stored?.rootPem ?? "")).toHaveLength(2);
    expect(stored).toMatchObject({ rootVersion: 1 });
    expect(it.applied()).toMatchObject([{ type: "roots.applied", roots: [{}, {}] }]);
    expect(it.session.hello.roots).toHaveLength(1);
  });

  it.each([
    ["a root", "roots.refused", async () => rootsOf((await rotatedAuthority()).authority)],
    ["a move", "move.refused", async () => moveOf((await rotatedAuthority()).authority)],
  ])("of %s that another mesh signed is refused loudly, not stored and not answered", async (_, event, news) => {
    await using it = await scene();
    const before = await it.file();
    await it.session.control.send(await news());
    expect(await it.said).toMatchObject({ level: "error", event, details: { code: "STATEMENT_REFUSED" } });
    expect(await it.file()).toBe(before);
    expect(it.applied()).toEqual([]);
  });

  it("of a move is stored and answered, again too; an older one is refused", async () => {
    await using it = await scene();
    await it.session.control.send(moveOf(it.authority, 5));
    await it.gateway.until(() => it.applied().length > 0);
    expect(await it.stored()).toMatchObject({
      addresses: [NEW_ADDRESS],
      formerAddresses: [MESH_ADDRESS],
      moveVersion: 5,
    });
    await it.session.control.send(moveOf(it.authority, 5));
    await it.gateway.until(() => it.applied().length > 1);
    expect(it.applied()).toEqual([
      { type: "moved.applied", version: 5 },
      { type: "moved.applied", version: 5 },
    ]);
    await it.session.control.send(moveOf(it.authority, 4, ["192.0.2.66:7420"]));
    await expect.poll(() => it.lines.some(({ event }) => event === "move.refused")).toBe(true);
    expect(await it.stored()).toMatchObject({ addresses: [NEW_ADDRESS], moveVersion: 5 });
  });
});

async function paired(authority: Authority): Promise<NodeIdentity> {
  await using directory = await temporaryDirectory();
  await pairState(directory.path, authority, { pairingAddresses: [{ host: "192.0.2.10", port: 7421 }] });
  const identity = await findIdentity(layoutOf(directory.path));
  if (identity === undefined) throw new Error("nothing was stored");
  return identity;
}

describe("the older of two roots", () => {
  it("goes once its time is over or the gateway says so, and never on a session that hangs from it", async () => {
    await using directory = await temporaryDirectory();
    const { authority } = await rotatedAuthority(directory.path);
    const now = Date.now();
    const both = withRoots(await paired(authority), rootsOf(authority), now);
    expect(withRoots(both, rootsOf(authority), now)).toBe(both);
    const shownBy = async () => {
      const { chain } = await authority.issueGatewayLeaf({ now });
      return { peer: { chain: [...chain], spkiSha256: new Uint8Array(32) } };
    };
    const [onOld, settled, late] = [await shownBy(), { settled: true, now }, { settled: false, now: now + 46 * DAY }];
    for (const when of [settled, late]) expect(withoutOldRoot(both, onOld, when)).toBe(both);
    await authority.switchRotation();
    const onNew = await shownBy();
    expect(withoutOldRoot(both, onNew, { settled: false, now })).toBe(both);
    for (const when of [settled, late]) {
      const one = withoutOldRoot(both, onNew, when);
      expect(certificatesFromPem(one.rootPem)).toEqual([authority.rootDer]);
      expect(one.oldRootUntil).toBeUndefined();
    }
  });
});

describe("addresses after a move", () => {
  it("are tried new first and then old, until a session at a new one and a week have passed", async () => {
    const { authority } = await rotatedAuthority();
    const before = await paired(authority);
    const now = Date.now();
    const moved = withMove(before, moveOf(authority), now);
    expect(dialAddresses(moved)).toEqual([NEW_ADDRESS, MESH_ADDRESS]);
    expect(moved.pairingAddresses?.map(({ host }) => host)).toEqual(["192.0.2.20", "192.0.2.10"]);
    // At the old address: nothing is proved, and what that gateway says of its pairing endpoint does not push the new one out.
    expect(withSessionAt(moved, MESH_ADDRESS, now + 30 * DAY)).toBe(moved);
    expect(withPairing(moved, [{ host: "192.0.2.10", port: 7421 }])).toBe(moved);
    const proved = withSessionAt(moved, NEW_ADDRESS, now);
    expect(dialAddresses(proved)).toEqual([NEW_ADDRESS, MESH_ADDRESS]);
    expect(withSessionAt(proved, NEW_ADDRESS, now + DAY)).toBe(proved);
    const over = withSessionAt(proved, NEW_ADDRESS, now + 8 * DAY);
    expect(dialAddresses(over)).toEqual([NEW_ADDRESS]);
    expect(over).not.toHaveProperty("formerUntil");
    const back = withMove(proved, moveOf(authority, 2, ["192.0.2.10:7420"]), now);
    expect(dialAddresses(back)).toEqual([MESH_ADDRESS, NEW_ADDRESS]);
  });
});

describe("moves by a thief of the issuing key", () => {
  const eight = (net: number): string[] => Array.from({ length: 8 }, (_, at) => `198.51.100.${net + at}:7420`);

  it("do not crowd out where the gateway is, however many there are", async () => {
    const { authority } = await rotatedAuthority();
    const now = Date.now();
    let identity = await paired(authority);
    for (let version = 1; version <= 4; version++) {
      const signed = authority.signMove({
        version,
        time: now,
        addresses: eight(version * 10),
        pairing: eight(version * 10 + 100),
      });
      const move: Moved = { type: "moved", ...signed, addresses: eight(version * 10), pairing: [...signed.pairing] };
      identity = withMove(identity, move, now);
    }
    expect(dialAddresses(identity)).toContainEqual(MESH_ADDRESS);
    expect(identity.pairingAddresses).toContainEqual({ host: "192.0.2.10", port: 7421 });
  });

  it("with a version that no gateway ever reaches are forgotten where they were once believed", async () => {
    const { authority } = await rotatedAuthority();
    const now = Date.now();
    const outbid = { ...(await paired(authority)), moveVersion: Number.MAX_SAFE_INTEGER };
    expect(knownMove(outbid, now)).toBe(0);
    const version = Math.floor(now / 1000);
    expect(withMove(outbid, moveOf(authority, version), now)).toMatchObject({ moveVersion: version });
  });
});

describe("an identity that several sides change at once", () => {
  it("keeps every change, and none of one that failed", async () => {
    const { authority } = await rotatedAuthority();
    await using directory = await temporaryDirectory();
    await pairState(directory.path, authority);
    const layout = layoutOf(directory.path);
    const stored = await findIdentity(layout);
    if (stored === undefined) throw new Error("nothing was stored");
    const keeper = new IdentityKeeper(layout, stored);
    const changes = [
      keeper.update((identity) => ({ ...identity, renewAfter: 1 })),
      keeper.update(() => {
        throw new Error("refused");
      }),
      keeper.update((identity) => ({ ...identity, moveVersion: 2 })),
      keeper.update((identity) => withRoots(identity, rootsOf(authority), Date.now())),
    ];
    const results = await Promise.allSettled(changes);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    expect(await findIdentity(layout)).toMatchObject({ renewAfter: 1, moveVersion: 2, rootVersion: 1 });
    expect(keeper.current).toEqual(await findIdentity(layout));
  });
});
