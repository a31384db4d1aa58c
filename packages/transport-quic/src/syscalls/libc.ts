/**
 * The few system calls that node:dgram does not offer, called in the C library of this process (ADR 0013). Linux on 64-bit little-endian machines only: the
 * layouts of `message-block.ts` are theirs. Everything here is optional; without it the sockets work, one system call a datagram.
 */
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";

/** C functions. Each gives -1 and leaves a reason in {@link Libc.errno} when it fails. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, bytes: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, bytes: number): number;
  close(fd: number): number;
  /** @param messages address of an array of `struct mmsghdr` @returns how many were sent */
  sendmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  /** @param messages address of an array of `struct mmsghdr` @returns how many were received */
  recvmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  /** Where `memory` is. It stays there as long as it is referenced. */
  addressOf(memory: ArrayBuffer): bigint;
  /** The reason of the last failure, `EAGAIN` for instance. */
  errno(): string;
}

const isSupported = (): boolean =>
  process.platform === "linux" && (process.arch === "x64" || process.arch === "arm64") && endianness() === "LE";

let loading: Promise<Libc | undefined> | undefined;

/** Load the calls, once per process. @returns `undefined` where they can't be had, for whatever reason */
export function loadLibc(): Promise<Libc | undefined> {
  loading ??= isSupported() ? load() : Promise.resolve(undefined);
  return loading;
}

async function load(): Promise<Libc | undefined> {
  try {
    const { default: koffi } = await import("koffi");
    const c = koffi.load(null);
    const call = (name: string, parameters: string[]): ((...values: unknown[]) => number) => {
      const found = c.func(name, "int", parameters);
      return (...values) => Number(found(...values));
    };
    const sendmmsg = c.func("sendmmsg", "int", ["int", "void *", "uint32_t", "int"]);
    const recvmmsg = c.func("recvmmsg", "int", ["int", "void *", "uint32_t", "int", "void *"]);
    return {
      socket: call("socket", ["int", "int", "int"]),
      bind: call("bind", ["int", "void *", "uint32_t"]),
      setsockopt: call("setsockopt", ["int", "int", "int", "void *", "uint32_t"]),
      close: call("close", ["int"]),
      sendmmsg: (fd, messages, count, flags) => Number(sendmmsg(fd, messages, count, flags)),
      recvmmsg: (fd, messages, count, flags) => Number(recvmmsg(fd, messages, count, flags, null)),
      addressOf: (memory) => koffi.address(memory),
      errno: () => errnoName(koffi.errno()),
    };
  } catch {
    // Not installed, no build for this libc, or a system that lets nothing be loaded: the plain way remains.
    return undefined;
  }
}

const errnoName = (errno: number): string => {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `ERRNO_${errno}`;
  }
};
