import { readFile, readlink } from "node:fs/promises";
import { UdpSocket } from "./udp-socket.ts";
import type { UdpSocketOptions } from "./udp-socket.ts";

/**
 * Take over a UDP socket that was bound before this process began.
 * @param fd its descriptor, 3 or more
 * @throws the system's error, or an `Error` that says what the descriptor is instead
 */
export async function adoptSocket(fd: number, options: UdpSocketOptions = {}): Promise<UdpSocket> {
  const family = (await familyOf(fd)) ?? 4;
  const socket = UdpSocket.adopt(fd, family, options);
  const { host, port } = socket.local;
  const problem =
    (port === 0 && "it is a UDP socket that is not bound to a port") ||
    // Only where the kernel did not tell beforehand: node:dgram then sends to addresses of the wrong family.
    (host.includes(":") !== (family === 6) && "this platform does not tell that it is an IPv6 socket");
  if (problem === false) return socket;
  await socket.close();
  throw new Error(problem);
}

/** Columns of `/proc/net/udp`. proc(5) */
const INODE_COLUMN = 9;

// node:dgram has to be told the family before it opens the descriptor, and closes the descriptor when it was told the wrong one.
async function familyOf(fd: number): Promise<4 | 6 | undefined> {
  if (process.platform !== "linux") return undefined;
  const target = await readlink(`/proc/self/fd/${fd}`).catch((cause: unknown) => {
    throw new Error("no such descriptor is open in this process", { cause });
  });
  const inode = /^socket:\[(\d+)\]$/u.exec(target)?.[1];
  if (inode === undefined) throw new Error(`it is not a socket but ${target}`);
  for (const [file, family] of [
    ["/proc/self/net/udp6", 6],
    ["/proc/self/net/udp", 4],
  ] as const) {
    const table = await readFile(file, "utf8").catch(() => "");
    if (table.split("\n").some((line) => line.trim().split(/\s+/u)[INODE_COLUMN] === inode)) return family;
  }
  throw new Error("it is a socket, but not a bound UDP socket");
}
