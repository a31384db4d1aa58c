import { IdentityError } from "../errors.ts";
import { dateFault, pathFault, readChain } from "../trust/path.ts";
import { isSigned, moveStatementBytes, type MoveStatement } from "./statement.ts";

/**
 * Check where a gateway says it moves to: signed by an intermediate below a root that is trusted here, and newer than what is known.
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
