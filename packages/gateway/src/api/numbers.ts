import { GatewayError } from "../errors.ts";

/** A 64-bit field as a number. @throws {GatewayError} `REQUEST_INVALID` beyond 2^53 */
export function safeInteger(value: bigint, field: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new GatewayError("REQUEST_INVALID", `${field} is above 2^53 - 1`, { metadata: { field } });
}
