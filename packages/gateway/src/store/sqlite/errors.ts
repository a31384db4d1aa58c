import { GatewayError, isGatewayErrorCode, type GatewayErrorCode } from "../../errors.ts";

/** SQLite primary result codes that mean something of their own here. @see https://sqlite.org/rescode.html */
const SQLITE = { busy: 5, locked: 6, ioerr: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const;

/** The primary code of what node:sqlite threw; undefined for anything else. */
function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  // The extended code carries the primary one in its low byte.
  return error.errcode & 0xff;
}

/** What a database error means to the gateway. A {@link GatewayError} stays what it is. */
export function storeError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && "code" in error && error.code === "ENOSPC") return storeFull(error);
  switch (primaryCode(error)) {
    case SQLITE.full:
      return storeFull(error);
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return new GatewayError("STORE_CORRUPT", `the database is damaged: ${message}`, { cause: error });
    case SQLITE.busy:
    case SQLITE.locked:
      return new GatewayError("STORE_IN_USE", "another process holds the database", { cause: error });
    default:
      return new GatewayError("STORE_FAILED", `the database failed: ${message}`, { cause: error });
  }
}

function storeFull(cause: unknown): GatewayError {
  return new GatewayError("STORE_FULL", "the disk, or the room the store may take, is full", { cause });
}

/** An error as it crosses the thread. */
export interface PlainError {
  readonly code: GatewayErrorCode;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** For the sending side of a thread. */
export function toPlain(error: unknown): PlainError {
  const { code, message, metadata } = storeError(error);
  return { code, message, metadata };
}

/** For the receiving side of a thread. */
export function fromPlain(plain: PlainError): GatewayError {
  const code = isGatewayErrorCode(plain.code) ? plain.code : "STORE_FAILED";
  return new GatewayError(code, plain.message, { metadata: plain.metadata });
}
