import type { SocketAddress } from "@quaymesh/protocol";
import { InvalidArgumentError } from "commander";

const MAX_PORT = 65_535;

/**
 * Read `HOST:PORT`, `[IPV6]:PORT` or, with a default port, `HOST`.
 * @throws {InvalidArgumentError} which commander turns into a usage error
 */
export function parseAddress(text: string, defaultPort?: number): SocketAddress {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.%a-z]+)\]|(?<host>[^\s:/[\]]+))(?::(?<port>\d{1,5}))?$/u.exec(text.trim());
  const host = match?.groups?.["v6"] ?? match?.groups?.["host"];
  const port = match?.groups?.["port"] === undefined ? defaultPort : Number(match.groups["port"]);
  if (host === undefined || port === undefined || port > MAX_PORT) {
    throw new InvalidArgumentError("Give HOST:PORT, such as 192.0.2.10:7420 or [2001:db8::1]:7420.");
  }
  return { host, port };
}

/** The address as people write it. */
export function formatAddress({ host, port }: SocketAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
