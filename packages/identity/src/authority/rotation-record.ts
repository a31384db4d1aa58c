/** What a CA keeps of its rotations: a PEM block of JSON behind its certificates. */
import { utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { PemConverter } from "../keys/x509.ts";
import type { RootStatement } from "../roots/statement.ts";
import { isMeshId } from "./names.ts";
import type { AuthorityFile, RootLine } from "./storage.ts";

const BLOCK_TYPE = "QUAYMESH ROOTS";

/** The block of a CA whose root was rotated, or is being. */
export function writeRotationRecord({ meshId, shown, beside, statements }: AuthorityFile): string {
  const record = {
    meshId,
    shown: shown.version,
    beside: beside?.version ?? null,
    statements: statements.map(({ version, signer, root, until, signature }) => ({
      version,
      signer: base64(signer),
      root: base64(root),
      until,
      signature: base64(signature),
    })),
  };
  return PemConverter.encode(utf8(JSON.stringify(record)), BLOCK_TYPE);
}

/**
 * Read {@link writeRotationRecord} back.
 * @param lines as they were stored, oldest first
 * @throws {IdentityError} `CA_INVALID`
 */
export function readRotationRecord(
  block: { readonly type: string; readonly rawData: ArrayBuffer },
  lines: readonly Omit<RootLine, "version">[],
): AuthorityFile {
  const fields = block.type === BLOCK_TYPE ? fieldsOf(parse(block.rawData)) : undefined;
  const [meshId, shown, beside] = [fields?.get("meshId"), fields?.get("shown"), fields?.get("beside")];
  const listed = fields?.get("statements");
  const statements = Array.isArray(listed) ? listed.map(statementOf) : [];
  if (typeof meshId !== "string" || !isMeshId(meshId) || !isVersion(shown)) throw unreadable();
  if (statements.length === 0 || (beside === null ? lines.length !== 1 : lines.length !== 2)) throw unreadable();
  const versions = isVersion(beside) ? [shown, beside].sort((a, b) => a - b) : [shown];
  const numbered = lines.map((line, at) => ({ ...line, version: versions[at] ?? -1 }));
  const lineOf = (version: unknown): RootLine | undefined => numbered.find((line) => line.version === version);
  const shownLine = lineOf(shown);
  if (shownLine === undefined) throw unreadable();
  return { meshId, shown: shownLine, beside: lineOf(beside), statements };
}

function statementOf(value: unknown): RootStatement {
  const fields = fieldsOf(value);
  const [version, until] = [fields.get("version"), fields.get("until")];
  if (!isVersion(version) || typeof until !== "number") throw unreadable();
  const bytesOf = (name: string): Uint8Array => {
    const text = fields.get(name);
    if (typeof text !== "string") throw unreadable();
    return new Uint8Array(Buffer.from(text, "base64"));
  };
  return { version, until, signer: bytesOf("signer"), root: bytesOf("root"), signature: bytesOf("signature") };
}

function isVersion(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
}

function parse(rawData: ArrayBuffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(rawData));
  } catch (cause) {
    throw new IdentityError("CA_INVALID", "the stored CA's record of its roots is not readable", { cause });
  }
}

function unreadable(): IdentityError {
  return new IdentityError("CA_INVALID", "the stored CA's record of its roots is damaged");
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
