import type { IpAddress } from "../address.ts";
import type { Libc } from "./libc.ts";
import { AF_INET, AF_INET6, SOCKADDR_BYTES, writeSockaddr } from "./sockaddr.ts";

/** `SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC`, Linux. */
const SOCK_TYPE = 0x8_08_02;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

/** A failed system call, as node's own are thrown. */
const failed = (libc: Libc, call: string): Error => {
  const code = libc.errno();
  return Object.assign(new Error(`${call} ${code}`), { code, syscall: call });
};

const flag = (on: boolean): Uint8Array => new Uint8Array([on ? 1 : 0, 0, 0, 0]);

/** A UDP socket that is bound to nothing yet. The caller owns it. @throws the system's error */
export function openDescriptor(libc: Libc, family: 4 | 6): number {
  const fd = libc.socket(family === 6 ? AF_INET6 : AF_INET, SOCK_TYPE, 0);
  if (fd < 0) throw failed(libc, "socket");
  return fd;
}

/**
 * A UDP socket bound to `address`. The caller owns it.
 * @param isIpv6Only a socket on `::` takes no IPv4
 * @throws the system's error; nothing stays open
 */
export function bindDescriptor(libc: Libc, address: IpAddress, isIpv6Only: boolean): number {
  const name = new Uint8Array(SOCKADDR_BYTES);
  const bytes = writeSockaddr(name, address.host, address.port, address.family);
  if (bytes === 0) throw Object.assign(new Error("bind EADDRNOTAVAIL"), { code: "EADDRNOTAVAIL", syscall: "bind" });
  const fd = openDescriptor(libc, address.family);
  if (address.family === 6) libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, flag(isIpv6Only), 4);
  if (libc.bind(fd, name, bytes) === 0) return fd;
  const error = failed(libc, "bind");
  libc.close(fd);
  throw error;
}

/** Nobody else may bind the address of `fd`: node:dgram allows it on every descriptor it is given. */
export function keepExclusive(libc: Libc, fd: number): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, flag(false), 4);
}
