/** Reads the machine-readable part of a Connect error. */
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorReasonSchema } from "@quaymesh/api";

/** The hint and the facts of an error's `ErrorReason` detail; empty when it has none. */
export function reasonOf(cause: unknown): {
  readonly hint: string;
  readonly metadata: Readonly<Record<string, string>>;
} {
  const detail = cause instanceof ConnectError ? cause.findDetails(ErrorReasonSchema)[0] : undefined;
  return { hint: detail?.hint ?? "", metadata: detail?.metadata ?? {} };
}

/** The code and the sentence of any error: the gateway's reason, else the Connect code in upper snake case. */
export function errorReason(cause: unknown): { readonly code: string; readonly message: string } {
  const error = ConnectError.from(cause);
  const reason = error.findDetails(ErrorReasonSchema)[0]?.reason;
  return { code: reason ?? connectCode(error.code), message: error.rawMessage };
}

function connectCode(code: Code): string {
  // Unavailable without a reason of the gateway's comes from the connection itself.
  if (code === Code.Unavailable || code === Code.Aborted) return "GATEWAY_GONE";
  return (Code[code] ?? "Unknown").replaceAll(/(?<=[a-z])(?=[A-Z])/gu, "_").toUpperCase();
}
