import dgram from "node:dgram";
import { once } from "node:events";

/**
 * Whether this machine no longer has an address: another network, another lease. A cable that is out, or an interface that is down, does not take it away.
 * @param host an IP address
 */
export async function isAddressGone(host: string): Promise<boolean> {
  const socket = dgram.createSocket({
    type: host.includes(":") ? "udp6" : "udp4",
    lookup: (name, _options, callback) => callback(null, name, name.includes(":") ? 6 : 4),
  });
  try {
    const listening = once(socket, "listening");
    socket.bind({ port: 0, address: host });
    await listening;
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EADDRNOTAVAIL";
  } finally {
    socket.close();
  }
}
