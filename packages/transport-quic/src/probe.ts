import { randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import type { PathProbe, ProbeAnswer, ProbeOptions, SocketAddress } from "@quaymesh/protocol";
import { QUIC_VERSION_1 } from "./datagram-shape.ts";
import { openDescriptor } from "./syscalls/descriptor.ts";
import { loadLibc } from "./syscalls/libc.ts";

/** RFC 9000 section 15: versions of the form 0x?a?a?a?a are there to make a server say which it speaks. */
const RESERVED_VERSION = 0x1a_2a_3a_4a;
const LONG_HEADER = 0xc0;
const ID_BYTES = 8;
/** Header byte, version, two lengths, two ids. */
const NEGOTIATION_BYTES = 7 + 2 * ID_BYTES;
const VERSION_BYTES = 4;
/** Of the time there is: a datagram may be lost. */
const TRIES = 4;

/** Linux, `ip(7)` and `ipv6(7)`: never fragment, and heed no path MTU that was learnt before. */
const DONT_FRAGMENT = { 4: { level: 0, name: 10 }, 6: { level: 41, name: 23 } } as const;
const PMTUDISC_PROBE = 3;

const UNROUTABLE: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EADDRNOTAVAIL", "EINVAL"]);
const FORBIDDEN: ReadonlySet<string> = new Set(["EPERM", "EACCES"]);

/**
 * A {@link PathProbe} for QUIC: a long header of a reserved version, which every QUIC server answers with the versions it speaks (RFC 9000 section 6) and which costs it nothing, as no TLS comes into it.
 */
export const probePath: PathProbe = async (address, options) => {
  options.signal?.throwIfAborted();
  const socket = await openSocket(address);
  try {
    // Connected: what ICMP says of it then comes back as an error.
    const connected = once(socket, "connect");
    socket.connect(address.port, address.host);
    await connected;
    return await new Probe(socket, options).answer();
  } catch (cause) {
    options.signal?.throwIfAborted();
    const answer = cause instanceof Error ? answerOf(cause) : undefined;
    if (answer === undefined) throw cause;
    return answer;
  } finally {
    socket.close();
  }
};

async function openSocket(address: SocketAddress): Promise<dgram.Socket> {
  const family = isIPv6(address.host.split("%", 1)[0] ?? "") ? 6 : 4;
  const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
  const libc = await loadLibc();
  if (libc !== undefined) {
    const fd = openDescriptor(libc, family);
    const { level, name } = DONT_FRAGMENT[family];
    libc.setsockopt(fd, level, name, new Uint8Array([PMTUDISC_PROBE, 0, 0, 0]), VERSION_BYTES);
    // At once, as there is nothing to look up: its event has passed when this returns.
    socket.bind({ fd });
  }
  return socket;
}

/** One question on one connected socket, repeated while it is not answered. */
class Probe {
  readonly #socket: dgram.Socket;
  readonly #options: ProbeOptions;
  readonly #ours = randomBytes(ID_BYTES);
  readonly #theirs = randomBytes(ID_BYTES);
  readonly #outcome = Promise.withResolvers<ProbeAnswer>();
  #sentAt = 0;

  constructor(socket: dgram.Socket, options: ProbeOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  async answer(): Promise<ProbeAnswer> {
    const { timeoutMs, signal } = this.#options;
    const socket = this.#socket;
    const onAbort = (): void => this.#outcome.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    socket.on("message", (datagram) => this.#heard(datagram));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#failed(error));
    this.#send();
    const again = setInterval(() => this.#send(), timeoutMs / TRIES);
    const late = setTimeout(() => this.#outcome.resolve({ kind: "silent" }), timeoutMs);
    try {
      return await this.#outcome.promise;
    } finally {
      clearInterval(again);
      clearTimeout(late);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #send(): void {
    this.#sentAt = performance.now();
    const question = questionOf(this.#theirs, this.#ours, this.#options.bytes);
    try {
      this.#socket.send(question, (error) => {
        if (error !== null) this.#failed(error);
      });
    } catch (error) {
      if (error instanceof Error) this.#failed(error);
    }
  }

  #heard(datagram: Buffer): void {
    const versions = versionsOf(datagram, { to: this.#ours, from: this.#theirs });
    if (versions?.includes(QUIC_VERSION_1) !== true) this.#outcome.resolve({ kind: "foreign" });
    else this.#outcome.resolve({ kind: "answered", roundTripMs: performance.now() - this.#sentAt });
  }

  #failed(error: NodeJS.ErrnoException): void {
    const answer = answerOf(error);
    // Anything else may pass; silence says the rest.
    if (answer !== undefined) this.#outcome.resolve(answer);
  }
}

/** What the system's error says of the way there. */
function answerOf({ code: errno = "" }: NodeJS.ErrnoException): ProbeAnswer | undefined {
  if (errno === "ECONNREFUSED") return { kind: "refused" };
  if (errno === "EMSGSIZE") return { kind: "too-long" };
  if (FORBIDDEN.has(errno)) return { kind: "forbidden", errno };
  return UNROUTABLE.has(errno) ? { kind: "unroutable", errno } : undefined;
}

/** A long header that no version explains, filled up to `bytes`. */
function questionOf(to: Uint8Array, from: Uint8Array, bytes: number): Buffer {
  const datagram = Buffer.alloc(bytes);
  datagram[0] = LONG_HEADER;
  datagram.writeUInt32BE(RESERVED_VERSION, 1);
  datagram[5] = to.length;
  datagram.set(to, 6);
  datagram[6 + to.length] = from.length;
  datagram.set(from, 7 + to.length);
  return datagram;
}

/**
 * The versions that a Version Negotiation packet offers (RFC 9000 section 17.2.1).
 * @returns `undefined` for anything else, and for one that does not answer this question
 */
export function versionsOf(
  datagram: Buffer,
  ids: { readonly to: Uint8Array; readonly from: Uint8Array },
): readonly number[] | undefined {
  const isNegotiation =
    datagram.length > NEGOTIATION_BYTES && ((datagram[0] ?? 0) & 0x80) !== 0 && datagram.readUInt32BE(1) === 0;
  if (!isNegotiation || datagram[5] !== ID_BYTES || datagram[6 + ID_BYTES] !== ID_BYTES) return undefined;
  if (!datagram.subarray(6, 6 + ID_BYTES).equals(ids.to)) return undefined;
  if (!datagram.subarray(7 + ID_BYTES, NEGOTIATION_BYTES).equals(ids.from)) return undefined;
  const versions: number[] = [];
  for (let at = NEGOTIATION_BYTES; at + VERSION_BYTES <= datagram.length; at += VERSION_BYTES) {
    versions.push(datagram.readUInt32BE(at));
  }
  return versions;
}
