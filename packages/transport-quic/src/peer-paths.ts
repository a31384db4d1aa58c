import type { HostPort, NativeConnection } from "./binding.ts";

/** What {@link PeerPaths} needs of quiche. */
export type NativePaths = Pick<NativeConnection, "pathEventNext" | "pathStats" | "probePath" | "send" | "sendOnPath">;

/** How often an address is asked again that did not answer; quiche's own three challenges each time. */
const MAX_RETRIES = 5;
/** Addresses of which something may still be on its way; of older ones nothing is. */
const MAX_LEFT = 4;

const keyOf = (address: HostPort): string => `${address.host} ${address.port}`;

/**
 * Where a peer is, and the addresses it has left. quiche keeps what it sent by path and notices losses by later acknowledgements of the same path, so what was on its way to an
 * address that is gone would never be sent again. One more packet of that path, a challenge, is therefore sent to where the peer is now: when it is acknowledged, the rest is
 * known to be lost. Only addresses that were validated before are treated so; the answer to a challenge that went elsewhere must not vouch for any other.
 *
 * Where three challenges to a new address were lost, quiche goes back to the first address it ever validated, which hears nothing any more, and a peer that only listens does not
 * correct it before its next keep-alive. So the newest address is asked again; its answer, which acknowledges the challenge too, brings quiche there.
 */
export class PeerPaths {
  readonly #native: NativePaths;
  readonly #local: HostPort;
  /** The last address that was validated. */
  #current: HostPort;
  /** Oldest first. */
  readonly #left = new Map<string, HostPort>();
  /** The address that was heard of last, and how often it was asked again. */
  #newest: string | undefined;
  #retries = 0;
  /** Whether something was noticed that {@link PeerPaths.update} has not told of. */
  #isChanged = false;

  /** @param local our address, as quiche knows it @param peer where the handshake was made */
  constructor(native: NativePaths, local: HostPort, peer: HostPort) {
    this.#native = native;
    this.#local = local;
    this.#current = peer;
  }

  /** Learn what quiche noticed of paths; it keeps that until it is asked. @returns whether there was anything since the last call */
  update(): boolean {
    this.#learn();
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  #learn(): void {
    for (let event = this.#native.pathEventNext(); event !== null; event = this.#native.pathEventNext()) {
      this.#isChanged = true;
      if (event.type === "PeerMigrated") this.#moveTo(event.new);
      else if (event.type === "Closed") this.#left.delete(keyOf(event.peer));
      else if (event.type === "New") this.#heardAt(keyOf(event.peer));
      else if (event.type === "Validated") this.#retries = 0;
      else if (event.type === "FailedValidation") this.#askAgain(event.peer);
    }
  }

  #heardAt(key: string): void {
    this.#newest = key;
    this.#retries = 0;
  }

  #askAgain(peer: HostPort): void {
    if (keyOf(peer) !== this.#newest || this.#retries === MAX_RETRIES) return;
    this.#retries += 1;
    this.#probe(peer);
  }

  #moveTo(peer: HostPort): void {
    const key = keyOf(peer);
    this.#left.delete(key);
    const left = this.#current;
    this.#current = peer;
    if (keyOf(left) === key) return;
    // Where quiche has forgotten that path already, it has forgotten what was sent on it too.
    if (!this.#probe(left)) return;
    this.#left.set(keyOf(left), left);
    const [oldest] = this.#left.keys();
    if (this.#left.size > MAX_LEFT && oldest !== undefined) this.#left.delete(oldest);
  }

  #probe(peer: HostPort): boolean {
    try {
      this.#native.probePath(this.#local, peer);
      return true;
    } catch {
      return false;
    }
  }

  /** The path quiche sends data on. Asked before each sending pass, that of a timer too, which is when challenges fail. */
  active(): HostPort | undefined {
    this.#learn();
    return this.#native.pathStats().find((path) => path.active)?.peerHost;
  }

  /**
   * Make the next datagram. quiche's own choice begins with challenges, and where one finds no room in the congestion window of its path, nothing else is sent: so data
   * is asked for first.
   * @param active as {@link PeerPaths.active} said this turn
   */
  next(out: Uint8Array, active: HostPort | undefined): [number, { readonly to: HostPort }] | null {
    const data = active === undefined ? null : this.#native.sendOnPath(out, this.#local, active);
    if (data !== null) return data;
    for (const left of this.#left.values()) {
      const challenge = this.#native.sendOnPath(out, this.#local, left);
      if (challenge !== null) return [challenge[0], { to: this.#current }];
    }
    return this.#native.send(out);
  }
}
