import type { HostPort, NativeConnection } from "./binding.ts";
import { PathQuestion } from "./path-question.ts";
import { keyOf, PeerNames } from "./peer-names.ts";

/** What {@link PeerPaths} needs of quiche. */
export type NativePaths = Pick<NativeConnection, "pathEventNext" | "pathStats" | "probePath" | "send" | "sendOnPath">;

/** A datagram that was made, and where it is to go. */
export type PathDatagram = readonly [bytes: number, info: { readonly to: HostPort }];

/** Addresses of which something may still be on its way; of older ones nothing is. */
const MAX_LEFT = 4;
/** Room for a challenge, and next to none for data: at most 25 bytes of header, 9 of frame, 16 of tag. */
const CHALLENGE_BYTES = 50;
/** RFC 9000 section 8.1. */
const AMPLIFICATION = 3;
/** More than this at once is worth sending to a suspect without a challenge: acknowledgements, mostly. */
const WORTHWHILE_BYTES = 600;
/** quiche's guess for a path of which nothing was acknowledged (RFC 9002 section 6.2.2). */
const UNKNOWN_RTT_MS = 333;

type PathStats = ReturnType<NativePaths["pathStats"]>[number];

/**
 * Where a peer is, and the addresses it has left. quiche validates a new address and moves to it; this makes up for what its path manager does not bear, which is loss.
 *
 * **Left addresses.** quiche keeps what it sent by path and notices losses by later acknowledgements of the same path, so what was on its way to an address that is gone would never be
 * sent again. More packets of that path, challenges, are therefore sent to where the peer is now: when one is acknowledged, the rest is known to be lost. Its answer makes quiche believe
 * that the peer can be reached at the address that was left. That is true of one that was validated; one that never was gets another name (`peer-names.ts`), of which nothing is believed.
 *
 * **Suspects.** Until an address has answered it may be a victim's, and is sent at most three times what came from it. quiche spends that on data, and when the first challenge is lost,
 * has nothing left to ask again with and gives the address up. So data waits, but for what fits behind the challenge, and the question is repeated after two round trips, not
 * after the second that quiche waits.
 *
 * **Failed addresses.** quiche goes back to the first address it ever validated, and the second datagram that then comes from the one it gave up ends the connection
 * (PROTOCOL_VIOLATION). So that one is asked again before it is heard, which revives it; and what quiche sends to the first address meanwhile goes to the last that was
 * validated.
 */
export class PeerPaths {
  readonly #native: NativePaths;
  readonly #local: HostPort;
  readonly #names = new PeerNames();
  /** The last address that was validated and moved to. Here and below, addresses are as quiche calls them. */
  #current: HostPort;
  /** Oldest first. */
  readonly #left = new Map<string, PathQuestion>();
  readonly #suspects = new Map<string, PathQuestion>();
  /** Were given up; quiche tells of that only once. */
  readonly #everFailed = new Set<string>();
  /** Those of them that were asked again, and did not answer yet. */
  readonly #fragile = new Set<string>();
  /** May have been given up. */
  readonly #failed = new Set<string>();
  /** What data was sent to since the last move. */
  readonly #used = new Map<string, HostPort>();
  /** Whether the address validated last may be given up soon, for a challenge that was lost before another was answered. */
  #isShaky = false;
  /** Where quiche went by itself, and how much had come from there. */
  #fallback: { readonly key: string; readonly recvBytes: number } | undefined;
  /** The address that was heard of last. */
  #newest: string | undefined;
  /** Whether something was noticed that {@link PeerPaths.update} has not told of. */
  #isChanged = false;
  /** The path of this pass, and how many bytes it may have. */
  #active: HostPort | undefined;
  #allowance = Infinity;
  /** What is asked in this pass. */
  #asked: readonly PathQuestion[] = [];

  /** @param local our address, as quiche knows it @param peer where the handshake was made */
  constructor(native: NativePaths, local: HostPort, peer: HostPort) {
    this.#native = native;
    this.#local = local;
    this.#current = peer;
    this.#used.set(keyOf(peer), peer);
  }

  /** What quiche is to be told where a datagram came from. */
  nameOf(address: HostPort): HostPort {
    return this.#names.nameOf(address);
  }

  /** The address that quiche knows by this name. */
  addressOf(name: HostPort): HostPort {
    return this.#names.addressOf(name);
  }

  /** Learn what quiche noticed of paths with a datagram; it keeps that until it is asked. @returns whether there was anything since the last call */
  update(): boolean {
    this.#learn("datagram");
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  /** Learn what quiche decided of paths when its timer fired. To be called before it is given a datagram. */
  timedOut(): void {
    this.#learn("timer");
    for (const key of this.#fragile) this.#failed.add(key);
  }

  #learn(cause: "datagram" | "timer"): void {
    for (let event = this.#native.pathEventNext(); event !== null; event = this.#native.pathEventNext()) {
      this.#isChanged = true;
      if (event.type === "PeerMigrated") {
        if (cause === "timer") this.#fellBackTo(event.new);
        else this.#moveTo(event.new);
      } else if (event.type === "FailedValidation") {
        this.#failedAt(event.peer);
      } else if (event.type !== "ReusedSourceConnectionId") {
        this.#note(event.type, event.peer);
      }
    }
  }

  #fellBackTo(name: HostPort): void {
    this.#fallback = { key: keyOf(name), recvBytes: this.#statsOf(name)?.recvBytes ?? 0 };
    if (this.#active !== undefined && !this.#isActive(name)) this.#failedAt(this.#active);
  }

  #statsOf(name: HostPort): PathStats | undefined {
    const key = keyOf(name);
    return this.#native.pathStats().find(({ peerHost }) => keyOf(peerHost) === key);
  }

  #failedAt(name: HostPort): void {
    const key = keyOf(name);
    this.#fragile.add(key);
    this.#everFailed.add(key);
    if (this.#left.has(key)) this.#left.set(key, new PathQuestion(name));
    // A repeated challenge may be lost after the first was answered.
    if (key === keyOf(this.#current)) this.#suspects.set(key, new PathQuestion(name));
  }

  #note(what: "Closed" | "New" | "Validated", name: HostPort): void {
    const key = keyOf(name);
    this.#fragile.delete(key);
    this.#failed.delete(key);
    if (what === "Validated") this.#isShaky = this.#suspects.get(key)?.isRepeated === true;
    this.#suspects.delete(key);
    this.#left.get(key)?.stop();
    if (what === "New") {
      this.#newest = key;
      this.#suspects.set(key, new PathQuestion(name));
    } else if (what === "Closed") {
      this.#left.delete(key);
      this.#used.delete(key);
    }
  }

  #moveTo(name: HostPort): void {
    const key = keyOf(name);
    this.#used.set(keyOf(this.#current), this.#current);
    this.#current = name;
    this.#fallback = undefined;
    this.#left.delete(key);
    // What was asked so far went to where the peer is not.
    for (const [leftKey, left] of this.#left) this.#left.set(leftKey, this.#questionOf(left.name));
    for (const [usedKey, used] of this.#used) if (usedKey !== key) this.#leave(usedKey, used);
    this.#used.clear();
    this.#used.set(key, name);
  }

  #leave(key: string, name: HostPort): void {
    this.#left.delete(key);
    // The answer to its challenge will come from elsewhere.
    if (this.#suspects.delete(key)) this.#names.rename(name);
    // Where quiche has forgotten that path already, it has forgotten what was sent on it too.
    if (!this.#isShaky && !this.#probe(name)) return;
    this.#left.set(key, this.#questionOf(name));
    const [oldest] = this.#left.keys();
    if (this.#left.size > MAX_LEFT && oldest !== undefined) this.#left.delete(oldest);
  }

  // A challenge that is lost makes quiche give its path up, and it forgets the connection when all are: so left ones wait until it is seen whether the new one stays.
  #questionOf(name: HostPort): PathQuestion {
    const question = new PathQuestion(name);
    return this.#isShaky ? question.defer() : question;
  }

  #probe(name: HostPort): boolean {
    try {
      this.#native.probePath(this.#local, name);
      if (this.#everFailed.has(keyOf(name))) this.#fragile.add(keyOf(name));
      return true;
    } catch {
      return false;
    }
  }

  /** Whether quiche may have given this address up, and must not hear from it before it was revived. */
  hasFailed(name: HostPort): boolean {
    return this.#failed.has(keyOf(name));
  }

  /**
   * Make a challenge for an address that failed and is heard of again, before and, as more may be sent then, after the datagram. It makes quiche take the address back, even if it goes elsewhere; whether
   * the peer is there is seen later.
   * @param nowMs of the clock of {@link PeerPaths.begin}
   * @returns `null` where it can't be made
   */
  revive(out: Uint8Array, name: HostPort, nowMs: number): PathDatagram | null {
    const challenge = this.#probe(name) ? this.#challenge(out, name, CHALLENGE_BYTES) : null;
    if (challenge === null) return null;
    // Not once more with the next pass.
    this.#suspects.get(keyOf(name))?.ask(nowMs, this.#statsOf(this.#current)?.rtt ?? 0);
    return challenge;
  }

  /**
   * Begin a sending pass.
   * @param nowMs of any steady clock
   * @returns when there will be something to ask, of that clock; `Infinity`: never
   */
  begin(nowMs: number): number {
    const active = this.#native.pathStats().find((path) => path.active);
    this.#active = active?.peerHost;
    this.#allowance = Infinity;
    if (active !== undefined) this.#goOn(active);
    const rttMs = this.#statsOf(this.#current)?.rtt ?? 0;
    this.#asked = this.#questions().filter((question) => question.ask(nowMs, rttMs) && this.#probe(question.name));
    if (active !== undefined) this.#ration(active);
    return Math.min(Infinity, ...this.#questions().map((question) => question.dueAtMs));
  }

  /** The peer is where quiche has it, as far as that knows. */
  #goOn({ peerHost, recvBytes }: PathStats): void {
    const key = keyOf(peerHost);
    this.#used.set(key, peerHost);
    if (key === this.#fallback?.key) {
      // The peer is there after all.
      if (recvBytes > this.#fallback.recvBytes) this.#moveTo(peerHost);
      return;
    }
    this.#fallback = undefined;
    // The peer is back where quiche has given it up meanwhile.
    if (this.#left.delete(key)) this.#suspects.set(key, new PathQuestion(peerHost));
  }

  #questions(): PathQuestion[] {
    const wanted = new Set([this.#newest, keyOf(this.#current), keyOf(this.#active ?? this.#current)]);
    const suspects = [...this.#suspects].filter(([key]) => wanted.has(key));
    return [...this.#left.values(), ...suspects.map(([, question]) => question)];
  }

  // One datagram a pass: half of what may be spent, so that something remains to ask again with.
  #ration(active: PathStats): void {
    const suspect = this.#suspects.get(keyOf(active.peerHost));
    // What was acknowledged was heard, and quiche will know.
    if (suspect === undefined || active.rtt !== UNKNOWN_RTT_MS) return;
    const creditBytes = Math.max(0, AMPLIFICATION * active.recvBytes - active.sentBytes);
    const halfBytes = Math.floor((creditBytes - CHALLENGE_BYTES) / 2);
    if (this.#asked.includes(suspect)) this.#allowance = Math.min(creditBytes, Math.max(CHALLENGE_BYTES, halfBytes));
    else this.#allowance = halfBytes >= WORTHWHILE_BYTES ? halfBytes : 0;
  }

  /**
   * Make the next datagram of a pass. quiche's own choice begins with challenges, and where one finds no room in the congestion window of its path, nothing else is sent: so data
   * is asked for first.
   */
  next(out: Uint8Array): PathDatagram | null {
    const data = this.#nextOnActive(out);
    if (data !== null) return [data[0], { to: this.#destination(data[1].to) }];
    for (const { name } of this.#left.values()) {
      const challenge = this.#challenge(out, name, CHALLENGE_BYTES);
      if (challenge !== null) return challenge;
    }
    // Not left to quiche, which would begin with one of those above that found no room.
    for (const { name } of this.#asked) {
      const challenge = this.#isActive(name) ? null : this.#challenge(out, name, this.#lengthOf(name));
      if (challenge !== null) return challenge;
    }
    return this.#allowance === Infinity ? this.#any(out) : null;
  }

  #nextOnActive(out: Uint8Array): PathDatagram | null {
    const allowance = this.#allowance;
    if (this.#active === undefined || allowance === 0) return null;
    if (allowance !== Infinity) this.#allowance = 0;
    return this.#native.sendOnPath(out.subarray(0, allowance), this.#local, this.#active);
  }

  #isActive(name: HostPort): boolean {
    return this.#active !== undefined && keyOf(name) === keyOf(this.#active);
  }

  // A long one, which quiche wants an answer to as well (RFC 9000 section 8.2.1), only once a short one was answered: it could take all that may be sent.
  #lengthOf(name: HostPort): number {
    return this.#statsOf(name)?.rtt === UNKNOWN_RTT_MS ? CHALLENGE_BYTES : Infinity;
  }

  #challenge(out: Uint8Array, name: HostPort, atMost: number): PathDatagram | null {
    const challenge = this.#native.sendOnPath(out.subarray(0, atMost), this.#local, name);
    if (challenge === null) return null;
    this.#failed.delete(keyOf(name));
    return [challenge[0], { to: this.#destination(name) }];
  }

  /** Make the next datagram of a connection that is over: nothing is held back, and only the path of the pass has room for the CONNECTION_CLOSE. */
  last(out: Uint8Array): PathDatagram | null {
    const close = this.#active === undefined ? null : this.#challenge(out, this.#active, Infinity);
    return close ?? this.#any(out);
  }

  #any(out: Uint8Array): PathDatagram | null {
    const sent = this.#native.send(out);
    return sent === null ? null : [sent[0], { to: this.#destination(sent[1].to) }];
  }

  #destination(name: HostPort): HostPort {
    const key = keyOf(name);
    return this.#names.addressOf(this.#left.has(key) || key === this.#fallback?.key ? this.#current : name);
  }
}
