/** How long to believe a refusal: routes and network cards change. */
const BELIEVED_MS = 600_000;
/** Hosts remembered for one socket; the one refused longest ago is forgotten. */
const MAX_HOSTS = 1024;

/** Remembers to which hosts the kernel would not cut messages into datagrams: the path is narrower than a datagram, or the card can't do it. The others are not to suffer for it. */
export class SegmentationRefusals {
  readonly #sockets = new WeakMap<object, Map<string, number>>();

  /** Messages of `socket` to `host` can't be cut. @param now milliseconds, monotonic */
  add(socket: object, host: string, now: number): void {
    const hosts = this.#sockets.get(socket) ?? new Map<string, number>();
    this.#sockets.set(socket, hosts);
    // Set again, it is the last in the order of a Map.
    hosts.delete(host);
    hosts.set(host, now + BELIEVED_MS);
    const [oldest] = hosts.keys();
    if (hosts.size > MAX_HOSTS && oldest !== undefined) hosts.delete(oldest);
  }

  /** Whether `socket` has met a refusal at all. */
  any(socket: object): boolean {
    return this.#sockets.has(socket);
  }

  /** Whether messages of `socket` to `host` have to be cut here. @param now milliseconds, monotonic */
  has(socket: object, host: string, now: number): boolean {
    return (this.#sockets.get(socket)?.get(host) ?? -Infinity) > now;
  }
}
