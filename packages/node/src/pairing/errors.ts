import { NodeError, type NodeErrorCode } from "../errors.ts";

/** What a pairing can fail with, by the code that the gateway gave or the machine found. */
const CODES: ReadonlyMap<string, NodeErrorCode> = new Map(
  (
    [
      "PAIR_CLOSED",
      "PAIR_VERSION",
      "PAIR_CODE_INVALID",
      "PAIR_RATE_LIMITED",
      "PAIR_CSR_INVALID",
      "PAIR_KEY_MISMATCH",
      "PAIR_DENIED",
      "PAIR_APPROVAL_TIMEOUT",
      "PAIR_UNAVAILABLE",
      "PAIR_TIMEOUT",
      "PAIR_PROTOCOL",
      "DEVICE_REVOKED",
      "DEVICE_UNKNOWN",
      "DEVICE_FROZEN",
      "RENEW_TOO_LATE",
      "GATEWAY_PIN_MISMATCH",
      "PAKE_CONFIRM_FAILED",
      "CLOCK_SKEW",
      "STATE_UNREADABLE",
    ] as const
  ).map((code): [string, NodeErrorCode] => [code, code]),
);
const OTHERS: ReadonlyMap<string, NodeErrorCode> = new Map([
  ["CHAIN_INVALID", "GATEWAY_UNTRUSTED"],
  ["VERSION_UNSUPPORTED", "PAIR_VERSION"],
]);

/** The error for a pairing that failed. A code nobody here knows becomes `PAIR_FAILED` and stays readable in the message. */
export function pairingError(
  failed: { readonly code: string; readonly message: string; readonly retryAfterMs?: number | undefined },
  cause: unknown,
): NodeError {
  const code = CODES.get(failed.code) ?? OTHERS.get(failed.code);
  return new NodeError(
    code ?? "PAIR_FAILED",
    code === undefined ? `${failed.message} (${failed.code})` : failed.message,
    {
      ...(cause !== undefined && { cause }),
      ...(failed.retryAfterMs !== undefined && { retryAfterMs: failed.retryAfterMs }),
    },
  );
}
