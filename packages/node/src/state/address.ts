import type { SocketAddress } from "@quaymesh/protocol";

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: SocketAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Read {@link formatAddress} back; `undefined` for anything else. */
export function parseAddress(text: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || !(port >= 1 && port <= 65_535) ? undefined : { host, port };
}

/** An endpoint that listens everywhere says so in its address; it is reached where it was reached before. */
export function resolveUnspecified(address: SocketAddress, reachedAt: string): SocketAddress {
  return address.host === "0.0.0.0" || address.host === "::" ? { host: reachedAt, port: address.port } : address;
}

/** The addresses in `texts`, resolved like {@link resolveUnspecified}; what is none is left out: they are places to try. */
export function endpointsOf(texts: readonly string[], reachedAt: string): readonly SocketAddress[] {
  return texts.flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined ? [] : [resolveUnspecified(address, reachedAt)];
  });
}
