/** What nodes are told of their mesh: how its roots follow each other, and where its gateway moves. */
import { isBelowRoot, type Authority, type MoveStatement } from "@quaymesh/identity";
import { MAX_ROOT_STATEMENTS, type Hello, type MeshNews, type Moved, type Roots } from "@quaymesh/protocol";

/** What sessions ask and are told. A gateway's core without an authority has none. */
export interface MeshNewsDesk {
  /** What a node that says this of itself has yet to hear. */
  newsFor(hello: Pick<Hello, "roots" | "moved">): readonly MeshNews[];
  /** Whether a node that follows the move of this version (0: none) has heard it from somebody else. */
  isForeignMove(version: number): boolean;
  /** Of the newest root that these hashes name; 0 for roots of long ago, and for a node that does not say. */
  rootVersionOf(roots: readonly Uint8Array[] | undefined): number;
  /** Whether a device that trusts the roots up to this version should have its certificates below the newest. */
  trustsNewest(rootVersion: number): boolean;
  /** Whether a device with this certificate chain should take another, so that it ends at the newest root. */
  isOutdated(chain: readonly Uint8Array[]): boolean;
}

/** For a gateway that has nothing to tell. */
export const NO_NEWS: MeshNewsDesk = {
  newsFor: () => [],
  isForeignMove: () => false,
  rootVersionOf: () => 0,
  trustsNewest: () => false,
  isOutdated: () => false,
};

/** The desk of a gateway with an authority. */
export class AuthorityNews implements MeshNewsDesk {
  readonly #authority: Pick<Authority, "lines" | "rootStatements">;
  #move: MoveStatement | undefined;

  constructor(authority: Pick<Authority, "lines" | "rootStatements">, move: MoveStatement | undefined) {
    this.#authority = authority;
    this.#move = move;
  }

  /** The newest move, if there ever was one. */
  get move(): MoveStatement | undefined {
    return this.#move;
  }

  set move(move: MoveStatement | undefined) {
    this.#move = move;
  }

  newsFor({ roots, moved = 0 }: Pick<Hello, "roots" | "moved">): readonly MeshNews[] {
    const news: MeshNews[] = [];
    const { lines, rootStatements } = this.#authority;
    const ours = lines.map(({ rootSpkiSha256 }) => rootSpkiSha256);
    if (rootStatements.length > 0 && !sameHashes(roots ?? [], ours)) news.push(this.roots());
    if (this.#move !== undefined && this.#move.version > moved) news.push(movedMessage(this.#move));
    return news;
  }

  isForeignMove(version: number): boolean {
    return version > (this.#move?.version ?? 0);
  }

  /** How the roots of this mesh follow each other. A node that trusts one from before the first of these pairs again. */
  roots(): Roots {
    const { lines, rootStatements } = this.#authority;
    const statements = rootStatements.slice(-MAX_ROOT_STATEMENTS);
    return { type: "roots", statements, settled: lines.length === 1 };
  }

  rootVersionOf(roots: readonly Uint8Array[] | undefined = []): number {
    const known = this.#authority.lines.filter(({ rootSpkiSha256 }) =>
      roots.some((hash) => same(hash, rootSpkiSha256)),
    );
    return known.at(-1)?.version ?? 0;
  }

  trustsNewest(rootVersion: number): boolean {
    return rootVersion >= (this.#authority.lines.at(-1)?.version ?? 0);
  }

  isOutdated(chain: readonly Uint8Array[]): boolean {
    const newest = this.#authority.lines.at(-1);
    if (newest === undefined || newest.version === 0) return false;
    return !isBelowRoot(chain[1], newest.rootDer);
  }
}

/** A signed move as it is sent. */
function movedMessage(move: MoveStatement): Moved {
  return { type: "moved", ...move, addresses: [...move.addresses], pairing: [...move.pairing] };
}

function sameHashes(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((hash, at) => same(hash, b[at]));
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}
