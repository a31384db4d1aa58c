import type { CloseInfo } from "@quaymesh/protocol";
import { systemAddress } from "./address.ts";
import { Alarm, TIMER_SLACK_MS } from "./alarm.ts";
import type { HostPort, NativeConnection } from "./binding.ts";
import { MAX_PATHS } from "./config.ts";
import { contained } from "./contained.ts";
import { DEFAULT_DATAGRAM_BYTES } from "./options.ts";
import { TOO_MANY_ADDRESSES, endOf } from "./link-end.ts";
import type { LinkHost, LinkOwner, LinkTap } from "./link-ports.ts";
import type { PathLimit } from "./path-limit.ts";
import { PeerPaths } from "./peer-paths.ts";
import type { PathDatagram } from "./peer-paths.ts";
import type { DatagramSource } from "./udp-socket.ts";

/**
 * Datagrams of one sending pass; more than a window of bulk has. quiche ends a pass by having nothing to send, and does not always: where a CONNECTION_CLOSE finds no room in a datagram, it makes packets for ever.
 */
const MAX_PASS = 8192;
/** The same once the connection is over: there is a CONNECTION_CLOSE to say, in two or three spaces while the handshake lasts. */
const MAX_LAST_PASS = 16;
const NO_REASON = new Uint8Array(0);

/** Drives one quiche connection: datagrams in and out, its timer, its end. Knows nothing of streams or certificates. */
export class Link {
  readonly native: NativeConnection;
  readonly #host: LinkHost;
  #owner: LinkOwner;
  #info: { readonly from: HostPort; readonly to: HostPort };
  readonly #alarm: Alarm;
  #nativeDeadline = Infinity;
  #ownDeadline = Infinity;
  #pathDeadline = Infinity;
  #state: "live" | "closed" | "gone" = "live";
  /** Once datagrams came from another address than at first. */
  #paths: PeerPaths | undefined;
  /** How long a datagram may be; less once the peer has another address, because nothing is known of that path. */
  #datagramBytes = Infinity;
  /** Where the path may carry less than is configured: what it was found to carry. */
  pathLimit: PathLimit | undefined;
  /** How long the next datagram may be, of all that follow. */
  #nextBytes = Infinity;
  /** How many bytes are taken from the peer. */
  #maxBytes = Infinity;
  /** Whether the endpoint has this link on its list for the next turn. */
  scheduled = false;
  /** Whether quiche may drain the connection once it is closed; a handshake that failed is forgotten at once, or strangers could fill the room. */
  lingers = false;
  tap: LinkTap | undefined;

  constructor(native: NativeConnection, host: LinkHost, remote: HostPort, owner: LinkOwner) {
    this.native = native;
    this.#host = host;
    this.#owner = owner;
    this.#info = { from: remote, to: host.local };
    // Nobody is above a timer: what is thrown there would end the process.
    this.#alarm = new Alarm(() => contained(this, () => this.#expire()));
  }

  /** From now on `owner` is told. */
  adopt(owner: LinkOwner): void {
    this.#owner = owner;
  }

  /** Whether data can still be sent. */
  get isLive(): boolean {
    return this.#state === "live";
  }

  /**
   * Drop datagrams once quiche has taken this many bytes of the peer's; `Infinity`: never. What does not open is not counted, or anybody who sees the
   * connection ids could use up the peer's share with noise.
   */
  hearsAtMost(bytes: number): void {
    this.#maxBytes = bytes;
  }

  /** Make the next datagram at most this long, but none after it. */
  sendsNextAtMost(bytes: number): void {
    this.#nextBytes = bytes;
  }

  /** Have the owner told at `deadline` (of `performance.now()`); `Infinity`: never. */
  expireAt(deadline: number): void {
    this.#ownDeadline = deadline;
    this.#arm();
  }

  /** Something was handed to quiche: see to it that it is sent this turn. */
  wake(): void {
    if (!this.scheduled && this.#state !== "gone") this.#host.schedule(this);
  }

  /** A datagram for this connection. */
  receive(datagram: Uint8Array, from: DatagramSource): void {
    if (this.#state === "gone") return;
    if (this.#maxBytes !== Infinity && this.native.stats().recvBytes > this.#maxBytes) return;
    const hasMoved = from.port !== this.#info.from.port || from.address !== this.#info.from.host;
    if (hasMoved) {
      // Anybody's address until quiche has decrypted something from there and had a challenge answered.
      this.#paths ??= new PeerPaths(this.native, this.#host.local, this.#info.from);
      this.#info = { from: { host: from.address, port: from.port }, to: this.#host.local };
    }
    this.tap?.received(datagram.length);
    if (this.#paths === undefined) this.#hear(datagram, this.#info);
    else this.#hearAt(datagram, this.#paths, this.#paths.nameOf(this.#info.from));
    this.wake();
  }

  #hear(datagram: Uint8Array, info: { readonly from: HostPort; readonly to: HostPort }): void {
    try {
      this.native.recv(datagram, info);
    } catch {
      // A datagram that does not decrypt says nothing about the peer; one that breaks the protocol shows as localError.
    }
  }

  #hearAt(datagram: Uint8Array, paths: PeerPaths, from: HostPort): void {
    if (paths.hasFailed(from)) this.#revive(paths, from);
    this.#hear(datagram, { from, to: this.#host.local });
    if (paths.update()) this.#pathsChanged();
    // Now it may be sent three times what came from it.
    if (paths.hasFailed(from)) this.#revive(paths, from);
    // quiche is at no address now, and would end the connection with the next datagram; it looks for one when a timer fires.
    if (paths.hasFailed(from)) this.#timeOut();
  }

  #revive(paths: PeerPaths, from: HostPort): void {
    if (this.#state !== "live") return;
    const slot = this.#host.outgoing.slot();
    const sent = paths.revive(slot.subarray(0, Math.min(slot.length, this.#datagramBytes)), from, performance.now());
    if (sent !== null) this.#took(sent);
  }

  #took(sent: PathDatagram): void {
    this.#host.outgoing.take(sent[0], systemAddress(sent[1].to));
    this.pathLimit?.sent(sent[0]);
    this.tap?.sent(sent[0]);
  }

  #timeOut(): void {
    this.native.onTimeout();
    this.#paths?.timedOut();
  }

  /** The peer's address that quiche knows by this name. */
  addressOf(name: HostPort): HostPort {
    return this.#paths?.addressOf(name) ?? name;
  }

  #pathsChanged(): void {
    const { peerMaxUdpPayloadSize, pathsCount } = this.native.stats();
    // quiche fills what it sends on a new path up to our own limit, whatever the peer's is, and the peer would never read the challenge.
    this.#datagramBytes = Math.min(DEFAULT_DATAGRAM_BYTES, peerMaxUdpPayloadSize);
    this.#owner.pathsChanged?.();
    if (pathsCount < MAX_PATHS) return;
    // The next address would not be heard at all; this one can be told to dial again.
    const { code, reason } = TOO_MANY_ADDRESSES;
    this.close(true, code, Buffer.from(reason), TOO_MANY_ADDRESSES);
  }

  /** First half of a turn. */
  process(): void {
    if (this.#state === "live") this.#owner.process();
    // Last, so that what came before a CONNECTION_CLOSE is delivered.
    if (this.#state === "live") this.#checkOver();
  }

  /** Second half of a turn: everything quiche wants to send leaves now. */
  flush(): void {
    if (this.#state === "gone") return;
    if (this.#state === "live") this.#owner.uncork();
    this.#send();
    let timeout = this.native.timeout();
    if (this.#state === "live" && this.#owner.flushed(timeout)) {
      this.#send();
      timeout = this.native.timeout();
    }
    this.#host.sent();
    if (this.#state === "closed" && !this.lingers) this.#gone();
    else this.#rearm(timeout);
  }

  #send(): void {
    const { outgoing } = this.#host;
    const { native } = this;
    const paths = this.#paths;
    this.#pathDeadline = paths?.begin(performance.now()) ?? Infinity;
    for (let left = this.#state === "live" ? MAX_PASS : MAX_LAST_PASS; ; left -= 1) {
      if (left === 0) {
        this.#cutShort();
        break;
      }
      const slot = outgoing.slot();
      const atMost = Math.min(this.#datagramBytes, this.#nextBytes, this.pathLimit?.bytes ?? Infinity);
      const out = atMost < slot.length ? slot.subarray(0, atMost) : slot;
      const sent = paths === undefined ? native.send(out) : this.#state === "live" ? paths.next(out) : paths.last(out);
      if (sent === null) break;
      this.#nextBytes = Infinity;
      this.#took(sent);
    }
    if (this.pathLimit?.isDue === true) this.pathLimit.count(native.stats().lost);
  }

  // Whoever else has something to say comes first.
  #cutShort(): void {
    if (this.#state === "live") setImmediate(() => this.wake());
    else this.#gone();
  }

  /**
   * Close towards the peer and tell the owner. quiche sends nothing after it but the close: {@link Link.flush} before, if what was written should go out;
   * not for a peer that is refused, which must not even get its HANDSHAKE_DONE.
   * @param info what the owner is told; quiche is not asked
   */
  close(application: boolean, code: number, reason: Uint8Array, info: CloseInfo): void {
    if (this.#state !== "live") return;
    try {
      this.native.close(application, code, reason);
    } catch {
      // `Done`: it is closing already.
    }
    this.#over(info);
    this.wake();
  }

  /** Something of ours failed within this link; it must not take the endpoint along. */
  fault(): void {
    const code = 0x01;
    this.close(false, code, NO_REASON, { kind: "transport", code, reason: "internal error", byPeer: false });
    this.#gone();
  }

  /** Forget the connection without a word to the peer. */
  abandon(info: CloseInfo): void {
    this.#over(info);
    this.#gone();
  }

  #rearm(timeout: number | null): void {
    if (timeout === null) {
      this.#nativeDeadline = Infinity;
      if (this.native.isClosed()) {
        this.#checkOver();
        this.#gone();
        return;
      }
    } else {
      this.#nativeDeadline = performance.now() + timeout + TIMER_SLACK_MS;
    }
    this.#arm();
  }

  #arm(): void {
    if (this.#state !== "gone")
      this.#alarm.ringBy(Math.min(this.#nativeDeadline, this.#ownDeadline, this.#pathDeadline));
  }

  #expire(): void {
    if (this.#state === "gone") return;
    const now = performance.now() + TIMER_SLACK_MS;
    if (this.#ownDeadline <= now) {
      this.#ownDeadline = Infinity;
      if (this.#state === "live") this.#owner.expired();
    }
    if (this.#pathDeadline <= now) {
      this.#pathDeadline = Infinity;
      this.wake();
    }
    if (this.#nativeDeadline <= now) {
      this.#nativeDeadline = Infinity;
      this.pathLimit?.timedOut(this.native.stats().lost);
      this.#timeOut();
      this.wake();
    }
    this.#arm();
  }

  #checkOver(): void {
    if (this.#state !== "live") return;
    const info = endOf(this.native);
    if (info !== undefined) this.#over(info);
  }

  #over(info: CloseInfo): void {
    if (this.#state !== "live") return;
    this.#state = "closed";
    this.#ownDeadline = Infinity;
    this.#owner.ended(info);
  }

  #gone(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#alarm.cancel();
    this.#host.release(this);
  }
}
