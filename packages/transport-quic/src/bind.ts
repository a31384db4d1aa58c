import { TransportError } from "@quaymesh/protocol";
import type { InheritedSocket, ListenAddress, SocketAddress } from "@quaymesh/protocol";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { printAddress, resolve, unmapped } from "./address.ts";
import type { IpAddress, Lookup } from "./address.ts";
import { bindError } from "./errors.ts";
import { adoptSocket } from "./inherited.ts";
import { UdpSocket } from "./udp-socket.ts";
import type { UdpSocketOptions } from "./udp-socket.ts";

/** Options of {@link bindAll}. */
export interface BindOptions {
  /** Default: the system's resolver. */
  readonly find?: Lookup | undefined;
  /** For each of the sockets. */
  readonly socket?: Pick<UdpSocketOptions, "batching">;
}

/** A socket of a listener, and what it was asked for as. */
export interface BoundSocket {
  readonly socket: UdpSocket;
  readonly asked: ListenAddress;
}

/** What to bind for one {@link ListenAddress}. */
type Plan =
  | { readonly kind: "inherit"; readonly asked: InheritedSocket }
  | { readonly kind: "bind"; readonly asked: SocketAddress; readonly addresses: readonly IpAddress[] };

/** A name's addresses share a port; how often to try where the one the system picked for the first is taken on another. */
const SHARED_PORT_TRIES = 8;

/**
 * Bind every address, in order; a name stands for all of its. What is listed twice is bound once.
 * @throws {TransportError} `ADDRESS_IN_USE`, `ADDRESS_UNAVAILABLE`, naming the address; then none is bound
 */
export async function bindAll(asked: readonly ListenAddress[], options: BindOptions = {}): Promise<BoundSocket[]> {
  if (asked.length === 0) throw new TransportError("ADDRESS_UNAVAILABLE", "there is no address to listen on");
  const plans = withoutRepeats(await Promise.all(asked.map((each) => planOf(each, options.find))));
  const bound = new Map<Plan, readonly UdpSocket[]>();
  try {
    // First, since an IPv4 socket among them decides what `::` may take.
    for (const plan of plans) if (plan.kind === "inherit") bound.set(plan, [await adopt(plan.asked, options)]);
    const ports = ipv4Ports(plans, [...bound.values()].flat());
    for (const plan of plans) if (plan.kind === "bind") bound.set(plan, await bindPlan(plan, ports, options));
  } catch (error) {
    await closeAll([...bound.values()].flat());
    throw error;
  }
  return plans.flatMap((plan) => (bound.get(plan) ?? []).map((socket) => ({ socket, asked: plan.asked })));
}

/** Release sockets that no listener has taken over. */
export async function closeAll(sockets: readonly UdpSocket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => socket.close()));
}

async function planOf(asked: ListenAddress, find: Lookup | undefined): Promise<Plan> {
  if ("fd" in asked) return { kind: "inherit", asked };
  try {
    const addresses = await resolve(asked, find);
    if (addresses.length === 0) throw new Error("the name has no address");
    return { kind: "bind", asked, addresses: isIP(asked.host) === 0 ? ofKnownFamilies(addresses) : addresses };
  } catch (cause) {
    throw bindError(cause, printAddress(asked));
  }
}

// Containers without IPv6 still have `::1 localhost` in /etc/hosts: nobody meant that line.
function ofKnownFamilies(addresses: readonly IpAddress[]): readonly IpAddress[] {
  const known = new Set(Object.values(networkInterfaces()).flatMap((each) => each?.map(({ family }) => family) ?? []));
  const usable = addresses.filter(({ family }) => known.has(family === 6 ? "IPv6" : "IPv4"));
  return usable.length > 0 ? usable : addresses;
}

// Port 0 is another port each time; a descriptor is one socket.
function withoutRepeats(plans: readonly Plan[]): readonly Plan[] {
  const seen = new Set<string>();
  const inherited = new Set<number>();
  const isNew = (address: IpAddress): boolean => {
    const key = printAddress(address);
    if (address.port === 0 || !seen.has(key)) {
      seen.add(key);
      return true;
    }
    return false;
  };
  return plans.flatMap((plan): readonly Plan[] => {
    if (plan.kind === "bind") return [{ ...plan, addresses: plan.addresses.filter((address) => isNew(address)) }];
    const { fd } = plan.asked;
    if (inherited.has(fd)) return [];
    inherited.add(fd);
    return [plan];
  });
}

function ipv4Ports(plans: readonly Plan[], inherited: readonly UdpSocket[]): ReadonlySet<number> {
  const planned = plans.flatMap((plan) => (plan.kind === "bind" ? plan.addresses : []));
  const own = planned.filter(({ family, port }) => family === 4 && port !== 0);
  const given = inherited.filter(({ local }) => !unmapped(local.host).includes(":"));
  return new Set([...own.map(({ port }) => port), ...given.map(({ local }) => local.port)]);
}

async function adopt(asked: InheritedSocket, options: BindOptions): Promise<UdpSocket> {
  try {
    return await adoptSocket(asked.fd, options.socket);
  } catch (cause) {
    throw bindError(cause, `file descriptor ${asked.fd}`);
  }
}

async function bindPlan(
  plan: Extract<Plan, { kind: "bind" }>,
  taken: ReadonlySet<number>,
  options: BindOptions,
): Promise<readonly UdpSocket[]> {
  const [first, ...rest] = plan.addresses;
  if (first === undefined) return [];
  for (let tries = 1; ; tries += 1) {
    const sockets: UdpSocket[] = [];
    let address: IpAddress = first;
    try {
      sockets.push(
        await UdpSocket.bind(first, { ...options.socket, isIpv6Only: first.family === 6 && taken.has(first.port) }),
      );
      const port = sockets[0]?.local.port ?? first.port;
      for (const each of rest) {
        address = { ...each, port };
        sockets.push(await UdpSocket.bind(address, { ...options.socket, isIpv6Only: each.family === 6 }));
      }
      return sockets;
    } catch (cause) {
      await closeAll(sockets);
      const error = bindError(cause, where(plan.asked, address));
      const mayRetry = error.code === "ADDRESS_IN_USE" && first.port === 0 && address !== first;
      if (!mayRetry || tries === SHARED_PORT_TRIES) throw error;
    }
  }
}

const where = (asked: SocketAddress, address: IpAddress): string =>
  asked.host === address.host ? printAddress(address) : `${printAddress(address)} (${asked.host})`;
