/** Statements that others signed: whoever follows docs/wire.md, and these vectors, agrees with this code. */
import {
  followRoots,
  moveStatementBytes,
  type MoveStatement,
  rootStatementBytes,
  type RootStatement,
  verifyMove,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { expectCode } from "./support.ts";
import { hex, readVectors } from "./vectors.ts";

type RootName = "a" | "b" | "c";
interface Signed {
  readonly version: number;
  readonly signedBytes: string;
  readonly signature: string;
}
type RootVector = Signed & { readonly signer: string; readonly root: string; readonly until: number };
type MoveVector = Signed & {
  readonly time: number;
  readonly addresses: readonly string[];
  readonly pairing: readonly string[];
  readonly issuer: string;
};
interface Held {
  readonly version: number;
  readonly roots: readonly RootName[];
}
interface MoveCase {
  readonly about: string;
  readonly roots: readonly RootName[];
  readonly known: number;
  readonly move: MoveVector;
}

const vectors = readVectors("statements") as {
  readonly mesh: string;
  readonly now: number;
  readonly roots: Readonly<Record<RootName, string>>;
  readonly statements: Readonly<Record<"aToB" | "bToC", RootVector>>;
  readonly followed: readonly {
    readonly about: string;
    readonly held: Held;
    readonly statements: readonly ("aToB" | "bToC")[];
    readonly then: Held | "known";
  }[];
  readonly refused: readonly {
    readonly about: string;
    readonly held: Held;
    readonly statements: readonly RootVector[];
  }[];
  readonly moves: { readonly taken: readonly MoveCase[]; readonly refused: readonly MoveCase[] };
};

const options = { meshId: vectors.mesh, now: vectors.now };
const rootsOf = (names: readonly RootName[]): Uint8Array[] => names.map((name) => hex(vectors.roots[name]));
const heldBy = ({ version, roots }: Held) => ({ version, roots: rootsOf(roots) });

function rootStatement({ version, signer, root, until, signature }: RootVector): RootStatement {
  return { version, until, signer: hex(signer), root: hex(root), signature: hex(signature) };
}

function moveStatement({ version, time, addresses, pairing, issuer, signature }: MoveVector): MoveStatement {
  return { version, time, addresses, pairing, issuer: hex(issuer), signature: hex(signature) };
}

describe("statements about roots", () => {
  test("are signed over the same bytes", () => {
    for (const vector of Object.values(vectors.statements)) {
      expect(rootStatementBytes(vectors.mesh, rootStatement(vector))).toEqual(hex(vector.signedBytes));
    }
  });

  test.each(vectors.followed)("are followed: $about", ({ held, statements, then }) => {
    const given = statements.map((name) => rootStatement(vectors.statements[name]));
    const followed = followRoots(heldBy(held), given, options);
    if (then === "known") expect(followed).toEqual({ kind: "known" });
    else expect(followed).toMatchObject({ kind: "advanced", trusted: heldBy(then) });
  });

  test.each(vectors.refused)("are refused: $about", async ({ held, statements }) => {
    await expectCode("STATEMENT_REFUSED", () => followRoots(heldBy(held), statements.map(rootStatement), options));
  });
});

describe("statements about moves", () => {
  test.each(vectors.moves.taken)("are taken: $about", ({ roots, known, move }) => {
    expect(moveStatementBytes(vectors.mesh, moveStatement(move))).toEqual(hex(move.signedBytes));
    expect(() => verifyMove(moveStatement(move), { ...options, roots: rootsOf(roots), version: known })).not.toThrow();
  });

  test.each(vectors.moves.refused)("are refused: $about", async ({ roots, known, move }) => {
    await expectCode("STATEMENT_REFUSED", () =>
      verifyMove(moveStatement(move), { ...options, roots: rootsOf(roots), version: known }),
    );
  });
});
