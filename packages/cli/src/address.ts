import type { InheritedSocket, SocketAddress } from "@quaymesh/protocol";
import { InvalidArgumentError } from "commander";
import { isIPv6 } from "node:net";

const MAX_PORT = 65_535;

/**
 * Read `HOST:PORT`, `[IPV6]:PORT` or, with a default port, `HOST`.
 * @throws {InvalidArgumentError} which commander turns into a usage error
 */
export function parseAddress(text: string, defaultPort?: number): SocketAddress {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|(?<host>[^\s:/[\]]+))(?::(?<port>\d{1,5}))?$/u.exec(
    text.trim(),
  );
  const host = match?.groups?.["v6"] ?? match?.groups?.["host"];
  const port = match?.groups?.["port"] === undefined ? defaultPort : Number(match.groups["port"]);
  const isBroken = match?.groups?.["v6"] !== undefined && !isIPv6(match.groups["v6"]);
  if (host === undefined || port === undefined || port > MAX_PORT || isBroken) {
    throw new InvalidArgumentError("Give HOST:PORT, such as 192.0.2.10:7420 or [2001:db8::1]:7420.");
  }
  return { host, port };
}

/** Where to listen, as the command line says it: an address, a descriptor, or what the service manager calls one or several of them. */
export type ListenSpec = SocketAddress | InheritedSocket | { readonly fdName: string };

/** Below are standard input, output and errors. */
const FIRST_FD = 3;
const MAX_FD = 65_535;

/**
 * Read `HOST:PORT`, `[IPV6]:PORT`, `fd:NUMBER` or `fd:NAME`; repeats of the option add up.
 * @throws {InvalidArgumentError} as {@link parseAddress}
 */
export function parseListen(text: string, before: readonly ListenSpec[] = []): readonly ListenSpec[] {
  const [, fd, fdName] = /^fd:(?:(\d{1,5})|([^\s:]{1,255}))$/u.exec(text.trim()) ?? [];
  if (fdName !== undefined) return [...before, { fdName }];
  if (fd === undefined) return [...before, parseAddress(text)];
  if (Number(fd) < FIRST_FD || Number(fd) > MAX_FD) {
    throw new InvalidArgumentError(`Give a descriptor from ${FIRST_FD} on, such as fd:3, or a name, such as fd:mesh.`);
  }
  return [...before, { fd: Number(fd) }];
}

/** The address as people write it. */
export function formatAddress({ host, port }: SocketAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
