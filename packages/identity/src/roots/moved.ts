import { IdentityError } from "../errors.ts";
import { dateFault, pathFault, readChain } from "../trust/path.ts";
import { isSigned, moveStatementBytes, type MoveStatement } from "./statement.ts";

/** How far ahead of a clock the version of a move may be: nodes' clocks are off by hours, not by more. */
const MAX_AHEAD_MS = 86_400_000;

/**
 * The highest version that a move may have at `now`. Versions are seconds since 1970 where nothing else makes them larger, so whoever has stolen an issuing key outbids the mesh for a day at most.
 * @param now Unix milliseconds
 */
export function latestMoveVersion(now: number): number {
  return Math.floor((now + MAX_AHEAD_MS) / 1000);
}

/**
 * Check where a gateway says it moves to: signed by an intermediate below a root that is trusted here, newer than what is known, and not from the future.
 * @param options.roots DER
 * @param options.version of the move that is known; 0 for none
 * @param options.now Unix milliseconds
 * @throws {IdentityError} `STATEMENT_REFUSED`
 */
export function verifyMove(
  move: MoveStatement,
  options: {
    readonly meshId: string;
    readonly roots: readonly Uint8Array[];
    readonly version: number;
    readonly now: number;
  },
): void {
  if (move.version <= options.version) {
    throw refused(`it has version ${move.version}, and version ${options.version} is known`);
  }
  const latest = latestMoveVersion(options.now);
  if (move.version > latest) {
    throw refused(`it has version ${move.version}, and none above ${latest} is believed today; compare the clocks`);
  }
  const faults = options.roots.map((root) => issuerFault(move, root, options));
  // Signed below any of the roots is signed by the mesh.
  if (faults.includes(undefined)) return;
  throw refused(faults[0] ?? "no root is trusted here");
}

function issuerFault(
  move: MoveStatement,
  root: Uint8Array,
  { meshId, now }: { readonly meshId: string; readonly now: number },
): string | undefined {
  const chain = readChain([move.issuer, root]);
  if (typeof chain === "string") return chain;
  const [issuer] = chain;
  if (issuer?.x509.ca !== true) return "its signer is no CA";
  const fault =
    pathFault(chain) ?? chain.map((certificate) => dateFault(certificate, now)).find((text) => text !== undefined);
  if (fault !== undefined) return fault;
  return isSigned(moveStatementBytes(meshId, move), move.signature, issuer.publicKey)
    ? undefined
    : "its signature is not its signer's";
}

function refused(why: string): IdentityError {
  return new IdentityError("STATEMENT_REFUSED", `a statement about the gateway's address is refused: ${why}`);
}
