import dgram from "node:dgram";
import { once } from "node:events";
import type { Server } from "node:net";

/** A bound socket that a child process can inherit. */
export interface Handover extends AsyncDisposable {
  readonly fd: number;
  readonly port: number;
}

const call = (handle: unknown, name: string): void => {
  const method: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, name) : undefined;
  if (typeof method !== "function") throw new Error(`this Node has no ${name}`);
  Reflect.apply(method, handle, []);
};

const fdOf = (handle: unknown): number => {
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  if (typeof fd !== "number" || fd < 0) throw new Error("this Node does not show the descriptor of a socket");
  return fd;
};

/** Bind a UDP socket and find its descriptor, which node:dgram keeps to itself. */
export async function bindForChild(host: string, options: { readonly ipv6Only?: boolean } = {}): Promise<Handover> {
  const { ipv6Only = false } = options;
  const socket = dgram.createSocket({ type: host.includes(":") ? "udp6" : "udp4", ipv6Only });
  socket.bind(0, host);
  await once(socket, "listening");
  const state: unknown = Object.getOwnPropertySymbols(socket)
    .filter((symbol) => symbol.description === "state symbol")
    .map((symbol): unknown => Reflect.get(socket, symbol))[0];
  const handle: unknown = typeof state === "object" && state !== null ? Reflect.get(state, "handle") : undefined;
  // It is the child's to read.
  call(handle, "recvStop");
  return {
    fd: fdOf(handle),
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

/** The descriptor of a listening server. */
export function serverFd(server: Server): number {
  return fdOf(Reflect.get(server, "_handle"));
}
