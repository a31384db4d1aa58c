/** The newest checkpoint a node was given: kept over restarts, never replaced by an older one, and not for ever by one that a thief of the old keys made. */
import { join } from "node:path";
import type { Checkpoint } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { certificatesToPem } from "@quaymesh/identity";
import { rootBelow } from "../src/mesh/roots.ts";
import { SeenFile } from "../src/state/seen-file.ts";
import { createAuthority, temporaryDirectory } from "./support/paired-state.ts";

const DAY = 86_400_000;
const CHECKPOINT: Checkpoint = {
  era: 0,
  generation: 3,
  incarnation: new Uint8Array(16).fill(1),
  revocationEpoch: 7,
  offset: 100,
  revoked: [],
  mac: new Uint8Array(32).fill(2),
};
/** Nothing that the mesh ever says is later. */
const FORGED: Checkpoint = { ...CHECKPOINT, era: Number.MAX_SAFE_INTEGER };
const OLD = { key: "aa", isNewest: true };
const NEW = { key: "bb", isNewest: true };

describe("the checkpoint on disk", () => {
  it("is there again after a restart, and gives way to later ones alone", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "seen");
    const seen = await SeenFile.open(path);
    const later = { ...CHECKPOINT, offset: 200 };
    for (const checkpoint of [later, CHECKPOINT]) await seen.store(checkpoint, OLD);
    const again = await SeenFile.open(path);
    expect(again.stored).toEqual(later);
    expect(again.isDamaged).toBe(false);
    expect(again.judges(OLD)).toBe(true);
  });

  it("that was forged below one root is not held against the next, and gives way to what that gives", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "seen");
    await (await SeenFile.open(path)).store(FORGED, OLD);
    const seen = await SeenFile.open(path);
    expect(seen.judges(OLD)).toBe(true);
    // The thief again, while both roots are trusted.
    expect(seen.judges({ ...NEW, isNewest: false })).toBe(true);
    expect(seen.judges(NEW)).toBe(false);
    await seen.store(CHECKPOINT, NEW);
    await seen.store(FORGED, { ...OLD, isNewest: false }).catch(() => {});
    expect((await SeenFile.open(path)).judges(NEW)).toBe(false);
  });
});

it("a session hangs from the root that signed its gateway's intermediate", async () => {
  const now = Date.now();
  const authority = await createAuthority("harbor", now);
  const { chain } = await authority.issueGatewayLeaf({ now });
  const on = { peer: { chain: [...chain], spkiSha256: new Uint8Array(32) } };
  const before = authority.rootDer;
  expect(rootBelow({ rootPem: certificatesToPem([before]) }, on)?.isNewest).toBe(true);
  const other = (await createAuthority("harbor", now + DAY)).rootDer;
  const both = rootBelow({ rootPem: certificatesToPem([before, other]) }, on);
  expect(both?.isNewest).toBe(false);
  expect(both?.key).toBe(rootBelow({ rootPem: certificatesToPem([before]) }, on)?.key);
  expect(rootBelow({ rootPem: certificatesToPem([other]) }, on)).toBeUndefined();
});
