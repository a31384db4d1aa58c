/** A mesh's root over its life: its key leaves, its intermediate is replaced, another root takes over, and nodes follow what is signed and nothing else. */
import { join } from "node:path";
import { assert, constantFrom, integer, nat, property } from "fast-check";
import {
  Authority,
  certificatesFromPem,
  createKeyFile,
  dropOldRoot,
  followRoots,
  isBelowRoot,
  judgeChain,
  KeyStore,
  latestMoveVersion,
  meshIdOf,
  meshNameOf,
  type MoveStatement,
  openRootKey,
  pairingServerName,
  rootKeyHash,
  rootStatementBytes,
  type RootStatement,
  Secret,
  type TrustedRoots,
  verifyMove,
} from "@quaymesh/identity";
import { createPrivateKey, sign } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { createMesh, expectCode, NOW, TemporaryDirectory, type TestMesh } from "./support.ts";

const DAY = 86_400_000;
const LATER = NOW + DAY;
const PASSPHRASE = new Secret("correct horse battery staple");

/** A mesh that was rotated from A to B and from B to C, with its three roots. */
interface Rotated {
  readonly mesh: TestMesh;
  readonly roots: readonly [Uint8Array, Uint8Array, Uint8Array];
  readonly statements: readonly [RootStatement, RootStatement];
}

async function rotate({ authority }: TestMesh, now = LATER): Promise<Uint8Array> {
  await authority.startRotation({ now, overlapMs: 45 * DAY });
  await authority.switchRotation();
  await authority.finishRotation();
  return authority.rootDer;
}

let rotated: Rotated;
let stranger: Rotated;

async function makeRotated(): Promise<Rotated> {
  await using directory = await TemporaryDirectory.open();
  const mesh = await createMesh(directory.path);
  const first = mesh.authority.rootDer;
  const roots = [first, await rotate(mesh), await rotate(mesh)] as const;
  const [one, two] = mesh.authority.rootStatements;
  if (one === undefined || two === undefined) throw new Error("two rotations leave two statements");
  return { mesh, roots, statements: [one, two] };
}

beforeAll(async () => {
  [rotated, stranger] = await Promise.all([makeRotated(), makeRotated()]);
});

const options = () => ({ meshId: rotated.mesh.authority.meshId, now: LATER });
const holding = (version: number, ...roots: Uint8Array[]): TrustedRoots => ({ version, roots });

describe("following the roots of a mesh", () => {
  test("leads from any of them to the newest, and trusts the one before it beside", () => {
    const { roots, statements } = rotated;
    const [a, b, c] = roots;
    expect(followRoots(holding(0, a), statements, options())).toEqual({
      kind: "advanced",
      trusted: { version: 2, roots: [b, c] },
      until: LATER + 45 * DAY,
    });
    expect(followRoots(holding(0, a), statements.slice(0, 1), options())).toMatchObject({ trusted: { roots: [a, b] } });
    expect(followRoots(holding(1, a, b), statements, options())).toMatchObject({ trusted: { roots: [b, c] } });
    // Paired below B: it never heard of A, and knows no version.
    expect(followRoots(holding(0, b), statements, options())).toMatchObject({ trusted: { roots: [b, c] } });
    for (const known of [holding(2, b, c), holding(2, c), holding(0, c)]) {
      expect(followRoots(known, statements, options())).toEqual({ kind: "known" });
    }
    expect(dropOldRoot(holding(2, b, c))).toEqual(holding(2, c));
  });

  test("refuses what no trusted root has signed, loudly", async () => {
    const { roots, statements } = rotated;
    const [a, b] = roots;
    const [one] = statements;
    await expectCode("STATEMENT_REFUSED", () => followRoots(holding(0, a), stranger.statements, options()));
    await expectCode("STATEMENT_REFUSED", () => followRoots(holding(0, a), [], options()));
    // Signed by another mesh's root under this one's name.
    const forged = { ...stranger.statements[0], signer: one.signer };
    await expectCode("STATEMENT_REFUSED", () => followRoots(holding(0, a), [forged], options()));
    // Of the same root, for another mesh.
    const elsewhere = { ...options(), meshId: stranger.mesh.authority.meshId };
    await expectCode("STATEMENT_REFUSED", () => followRoots(holding(0, a), [one], elsewhere));
    // The old root has no say any more once the new one is known, not even while both are trusted.
    const fork = { ...stranger.statements[0], signer: one.signer, version: 9 };
    await expectCode("STATEMENT_REFUSED", () => followRoots(holding(1, a, b), [fork], options()));
  });

  test("refuses a statement of a root that has been followed by another, however well it is signed", async () => {
    const { roots, statements } = rotated;
    for (const known of [holding(1, roots[0], roots[1]), holding(1, roots[1]), holding(2, roots[2])]) {
      await expectCode("STATEMENT_REFUSED", () =>
        followRoots(known, [{ ...statements[0], root: roots[0] }], options()),
      );
    }
  });

  test("goes on from a version that only a thief of the old key can have given", () => {
    const { roots, statements } = rotated;
    const outbid = holding(Number.MAX_SAFE_INTEGER, roots[0], roots[1]);
    const followed = followRoots(outbid, statements.slice(1), options());
    expect(followed).toMatchObject({ kind: "advanced", trusted: holding(2, roots[1], roots[2]) });
  });

  test("refuses a root that is signed for and is none: no CA, of another mesh, or of another time", async () => {
    const key = await signingMesh();
    const say = (root: Uint8Array, now = LATER): (() => unknown) => {
      const unsigned = { version: 1, signer: rootKeyHash(key.root), root, until: now };
      const signature = new Uint8Array(
        sign("sha256", rootStatementBytes(key.meshId, unsigned), { key: key.privateKey, dsaEncoding: "ieee-p1363" }),
      );
      return () => followRoots(holding(0, key.root), [{ ...unsigned, signature }], { meshId: key.meshId, now });
    };
    await expectCode("STATEMENT_REFUSED", say(rotated.roots[1]));
    await expectCode("STATEMENT_REFUSED", say(key.leaf));
    await expectCode("STATEMENT_REFUSED", say(new Uint8Array(40)));
    await expectCode("STATEMENT_REFUSED", say(key.root, NOW - DAY));
    // The same words about a root that is in order are taken.
    expect(say(key.root)()).toMatchObject({ kind: "advanced" });
  });

  test("takes no statement of which a bit was changed", () => {
    const { roots, statements } = rotated;
    const [one] = statements;
    const held = holding(0, roots[0]);
    assert(
      property(constantFrom("root", "signature"), nat(), integer({ min: 0, max: 7 }), (field, at, bit) => {
        const bytes = Uint8Array.from(one[field]);
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
        expect(() => followRoots(held, [{ ...one, [field]: bytes }], options())).toThrow();
      }),
      { numRuns: 60 },
    );
    for (const changed of [{ version: 2 }, { until: one.until + 1 }]) {
      expect(() => followRoots(held, [{ ...one, ...changed }], options())).toThrow("signature");
    }
  });
});

/** The key of a mesh's root, to sign with what the authority never would. */
async function signingMesh() {
  await using directory = await TemporaryDirectory.open();
  const { authority, store } = await createMesh(directory.path);
  const privateKey = createPrivateKey((await store.getText("root-key")).reveal());
  const { credentials } = await authority.issueGatewayLeaf({ now: NOW });
  const leaf = certificatesFromPem(credentials.chainPem)[0] ?? new Uint8Array();
  return { meshId: authority.meshId, root: authority.rootDer, privateKey, leaf };
}

describe("a rotation", () => {
  test("keeps the mesh's id and name, and a chain of its root can be judged without a pin", async () => {
    const { authority } = rotated.mesh;
    const [a, , c] = rotated.roots;
    expect(authority.meshId).toBe(meshIdOf(rootKeyHash(a)));
    expect(meshIdOf(rootKeyHash(c))).not.toBe(authority.meshId);
    expect(meshNameOf(c)).toBe("harbor");
    const chain = certificatesFromPem((await authority.issuePairingLeaf({ now: LATER })).credentials.chainPem);
    const judge = (rootSpkiSha256: "first-use" | Uint8Array[], meshId = authority.meshId) =>
      judgeChain(chain, { rootSpkiSha256, now: LATER, meshServerName: pairingServerName(meshId) });
    expect(judge("first-use")).toMatchObject({ kind: "accept", meshId: authority.meshId });
    expect(judge([rootKeyHash(a), rootKeyHash(c)])).toMatchObject({ kind: "accept" });
    expect(judge([rootKeyHash(a)])).toMatchObject({ kind: "refuse", code: "GATEWAY_PIN_MISMATCH" });
    expect(judge("first-use", stranger.mesh.authority.meshId)).toMatchObject({ kind: "refuse", code: "CHAIN_INVALID" });
  });

  test("goes start, switch, finish and no other way; each step outlives a restart", async () => {
    await using directory = await TemporaryDirectory.open();
    const { authority, store } = await createMesh(directory.path);
    const reopen = () => Authority.open({ store });
    const [old] = authority.lines;
    await expectCode("ROTATION_STATE", () => authority.switchRotation());
    await expectCode("ROTATION_STATE", () => authority.finishRotation());
    await authority.startRotation({ now: LATER, overlapMs: DAY });
    await expectCode("ROTATION_STATE", () => authority.startRotation({ now: LATER, overlapMs: DAY }));
    await expectCode("ROTATION_STATE", () => authority.finishRotation());
    expect((await reopen()).lines).toMatchObject([
      { version: 0, shown: true },
      { version: 1, shown: false },
    ]);
    expect(certificatesFromPem((await reopen()).anchorsPem)).toHaveLength(2);
    const next = await reopen();
    await next.switchRotation();
    await expectCode("ROTATION_STATE", () => next.switchRotation());
    expect((await reopen()).lines).toMatchObject([
      { version: 0, shown: false },
      { version: 1, shown: true },
    ]);
    await (await reopen()).finishRotation();
    const last = await reopen();
    expect(last.lines).toMatchObject([{ version: 1, shown: true }]);
    expect(last.meshId).toBe(authority.meshId);
    expect(certificatesFromPem(last.anchorsPem)).toEqual([last.rootDer]);
    expect(isBelowRoot(old?.rootDer, last.rootDer)).toBe(false);
    expect(await store.names()).toEqual(["authority", "root-key-1"]);
  });

  test("that is cut off between any two writes leaves a CA that opens, and that goes on from there", async () => {
    const steps = ["startRotation", "switchRotation", "finishRotation"] as const;
    for (let cutAt = 1; cutAt <= 5; cutAt++) {
      await using directory = await TemporaryDirectory.open();
      const { store, authority } = await createMesh(directory.path);
      const { meshId } = authority;
      let writes = 0;
      // The write that is cut never happens, and nothing after it.
      const cut = new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          return (...args: readonly unknown[]) => {
            if ((name === "put" || name === "delete") && ++writes >= cutAt) return Promise.reject(new Error("cut off"));
            return Reflect.apply(value, target, args) as unknown;
          };
        },
      });
      const doomed = await Authority.open({ store: cut });
      const act = (on: Authority, step: (typeof steps)[number]): Promise<void> =>
        step === "startRotation" ? on.startRotation({ now: LATER, overlapMs: DAY }) : on[step]();
      const done = async (on: Authority): Promise<void> => {
        for (const step of steps) await act(on, step).catch(() => {});
      };
      await done(doomed);
      expect(writes).toBeGreaterThanOrEqual(cutAt);
      const after = await Authority.open({ store });
      // Whatever it is in, it issues, and what it issues ends at an anchor of its own.
      const leaf = await after.issueGatewayLeaf({ now: LATER });
      expect(certificatesFromPem(after.anchorsPem).some((root) => isBelowRoot(leaf.chain[1], root))).toBe(true);
      if (after.lines.length > 1 || after.lines[0]?.version === 0) await done(after);
      expect(after.meshId).toBe(meshId);
      expect(after.lines).toMatchObject([{ version: 1, shown: true }]);
      expect(followRoots(holding(0, authority.rootDer), after.rootStatements, { meshId, now: LATER })).toMatchObject({
        trusted: { roots: [authority.rootDer, after.rootDer] },
      });
      expect(await (await Authority.open({ store })).hasRootKey()).toBe(true);
      expect(await store.names()).toEqual(["authority", "root-key-1"]);
    }
  });
});

describe("a root's key outside of the gateway", () => {
  test("opens with its passphrase alone, and a damaged file does not", async () => {
    await using directory = await TemporaryDirectory.open();
    const { authority } = await createMesh(directory.path);
    await expectCode("VALUE_INVALID", () => authority.exportRootKey(new Secret("elevenchars")));
    const file = await authority.exportRootKey(PASSPHRASE);
    expect((await openRootKey(file, PASSPHRASE)).spkiSha256).toEqual(authority.rootSpkiSha256);
    await expectCode("ROOT_KEY_WRONG", () => openRootKey(file, new Secret("another passphrase")));
    await expectCode("ROOT_KEY_WRONG", () =>
      openRootKey(file.replace(/"sealed": "(.)/u, '"sealed": "A$1'), PASSPHRASE),
    );
    await expectCode("ROOT_KEY_WRONG", () => openRootKey("{}", PASSPHRASE));
    await expectCode("ROOT_KEY_WRONG", () => openRootKey("not JSON", PASSPHRASE));
  });

  test("signs another intermediate and another root when it is given; that of another mesh does not", async () => {
    await using directory = await TemporaryDirectory.open();
    const { authority, store } = await createMesh(directory.path);
    const rootKey = await openRootKey(await authority.exportRootKey(PASSPHRASE), PASSPHRASE);
    await authority.removeRootKey();
    await authority.removeRootKey();
    expect(await authority.hasRootKey()).toBe(false);
    const reopened = await Authority.open({ store });
    await expectCode("ROOT_KEY_OFFLINE", () => reopened.renewIssuing({ now: LATER }));
    const other = await openRootKey(await stranger2(), PASSPHRASE);
    await expectCode("ROOT_KEY_WRONG", () => reopened.renewIssuing({ now: LATER, rootKey: other }));
    const before = await reopened.issueGatewayLeaf({ now: LATER });
    await reopened.renewIssuing({ now: LATER, rootKey });
    const after = await reopened.issueGatewayLeaf({ now: LATER });
    expect(after.chain[1]).not.toEqual(before.chain[1]);
    for (const { chain } of [before, after]) expect(isBelowRoot(chain[1], reopened.rootDer)).toBe(true);
    expect(await reopened.hasRootKey()).toBe(false);
    await reopened.startRotation({ now: LATER, overlapMs: DAY, rootKey });
    expect(reopened.lines).toHaveLength(2);
  });

  test("an intermediate never outlives its root", async () => {
    await using directory = await TemporaryDirectory.open();
    const { authority } = await createMesh(directory.path);
    const late = NOW + 19 * 365 * DAY;
    await authority.renewIssuing({ now: late });
    const [line] = authority.lines;
    expect(line?.issuingNotAfter).toBe(line?.rootNotAfter);
  });
});

async function stranger2(): Promise<string> {
  await using directory = await TemporaryDirectory.open();
  const key = await createKeyFile(join(directory.path, "key"));
  const store = await KeyStore.open(join(directory.path, "keys"), { key });
  return await (await Authority.create({ store, meshName: "other", now: NOW })).exportRootKey(PASSPHRASE);
}

describe("a move of the gateway", () => {
  const say = (): MoveStatement =>
    rotated.mesh.authority.signMove({
      version: 7,
      time: LATER,
      addresses: ["192.0.2.20:7420", "[2001:db8::20]:7420"],
      pairing: ["192.0.2.20:7421"],
    });
  const known = (version: number, root = rotated.roots[2]) => ({ ...options(), roots: [root], version });

  test("is believed when a CA below a trusted root signed it, and it is new", async () => {
    expect(() => verifyMove(say(), known(6))).not.toThrow();
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), known(7)));
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), known(8)));
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), known(0, stranger.roots[2])));
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), { ...known(0), roots: [] }));
    const elsewhere = { ...known(0), meshId: stranger.mesh.authority.meshId };
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), elsewhere));
    await expectCode("STATEMENT_REFUSED", () => verifyMove(say(), { ...known(0), now: NOW + 30 * 365 * DAY }));
  });

  test("has a version of its day: a thief of the issuing key outbids the mesh for a day, and no longer", async () => {
    const { authority } = rotated.mesh;
    const on = { time: LATER, addresses: ["192.0.2.20:7420"], pairing: [] };
    const forge = (version: number): MoveStatement => authority.signMove({ version, ...on });
    for (const version of [latestMoveVersion(LATER) + 1, Number.MAX_SAFE_INTEGER]) {
      const error = await expectCode("STATEMENT_REFUSED", () => verifyMove(forge(version), known(0)));
      expect(error.message).toContain("compare the clocks");
    }
    const best = forge(latestMoveVersion(LATER));
    expect(() => verifyMove(best, known(0))).not.toThrow();
    const tomorrow = LATER + DAY + 1000;
    const genuine = authority.signMove({ ...on, version: Math.floor(tomorrow / 1000), time: tomorrow });
    expect(() => verifyMove(genuine, { ...known(best.version), now: tomorrow })).not.toThrow();
  });

  test("is not when anything of it was changed, or a certificate that is no CA signed it", async () => {
    const move = say();
    const changes: readonly Partial<MoveStatement>[] = [
      { version: 8 },
      { time: LATER + 1 },
      { addresses: ["192.0.2.66:7420", "[2001:db8::20]:7420"] },
      // The same texts, the border between the lists elsewhere.
      { addresses: move.addresses.slice(0, 1), pairing: [...move.addresses.slice(1), ...move.pairing] },
      { pairing: [] },
      { signature: new Uint8Array(64) },
      { signature: move.signature.subarray(0, 63) },
      { issuer: stranger.mesh.authority.rootDer },
      { issuer: rotated.roots[2] },
    ];
    for (const change of changes) {
      await expectCode("STATEMENT_REFUSED", () => verifyMove({ ...move, ...change }, known(0)));
    }
    const { chain } = await rotated.mesh.authority.issueGatewayLeaf({ now: LATER });
    await expectCode("STATEMENT_REFUSED", () => verifyMove({ ...move, issuer: chain[0] ?? move.issuer }, known(0)));
  });
});
