import { isIP } from "node:net";
import { GatewayError } from "../errors.ts";

/** Of each kind. docs/wire.md, "Moves". */
const MAX_ADDRESSES = 8;

/**
 * `host:port` as nodes dial it: a name, an IPv4 address, or an IPv6 one in brackets.
 * @throws {GatewayError} `REQUEST_INVALID`
 */
export function checkAddresses(texts: readonly string[], what: string): readonly string[] {
  if (texts.length > MAX_ADDRESSES) throw new GatewayError("REQUEST_INVALID", `at most ${MAX_ADDRESSES} ${what}`);
  for (const text of texts) {
    if (isDialable(text)) continue;
    throw new GatewayError("REQUEST_INVALID", `${JSON.stringify(text)} is not host:port, or not what a node can dial`);
  }
  return texts;
}

function isDialable(text: string): boolean {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]{1,253})):(\d{1,5})$/.exec(text);
  const [v6, host, port] = [match?.[1], match?.[2], Number(match?.[3])];
  if (!(port >= 1 && port <= 65_535)) return false;
  if (v6 !== undefined) return isIP(v6) === 6 && v6 !== "::";
  return host !== undefined && host !== "0.0.0.0" && (isIP(host) === 4 || /^[a-zA-Z0-9._-]+$/.test(host));
}
