/**
 * node:dgram without TLS, streams or congestion control: what a transport over UDP could reach at most. Bulk only. The receiver says how much it has, and the sender keeps no more
 * than a window under way; so what counts is what arrived. Should a datagram be lost, as many bytes are sent again.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { BenchClient, BenchServer, Datagrams, Dial, DialerOptions, Sink, System } from "./system.ts";

const HOST = "127.0.0.1";
const SOCKET_BUFFER_BYTES = 4 << 20;
/** With the kernel's own cost for a small datagram it fits the receiver's buffer. */
const WINDOW_BYTES = 2 << 20;
/** The receiver reports this often, so that the sender never waits for room. */
const REPORT_BYTES = WINDOW_BYTES / 8;
/** Silence after which the sender asks. */
const SILENCE_MS = 100;
/** The receiver answers a question within this, or is gone. */
const ANSWER_MS = 5000;
/** As ours are on loopback by default. */
const DATAGRAM_BYTES: Readonly<Record<Datagrams, number>> = { default: 16_384, "1350": 1350 };
const EMPTY = new Uint8Array(0);

/** The system. */
export const dgram: System = { serve, dialer };

/** What a sender's datagrams amounted to. */
interface Tally {
  readonly port: number;
  received: number;
  reported: number;
  questions: number;
}

async function serve(): Promise<BenchServer> {
  const socket = createSocket("udp4");
  socket.bind(0, HOST);
  await once(socket, "listening");
  enlarge(socket);
  const tallies = new Map<number, Tally>();
  let tally: Tally = { port: 0, received: 0, reported: 0, questions: 0 };
  const tallyOf = (port: number): Tally => {
    let found = tallies.get(port);
    if (found === undefined) tallies.set(port, (found = { port, received: 0, reported: 0, questions: 0 }));
    return found;
  };
  socket.on("message", (datagram, { port }) => {
    if (port !== tally.port) tally = tallyOf(port);
    tally.received += datagram.length;
    // An empty datagram asks.
    if (datagram.length === 0) tally.questions++;
    else if (tally.received - tally.reported < REPORT_BYTES) return;
    tally.reported = tally.received;
    const report = Buffer.allocUnsafe(16);
    report.writeDoubleBE(tally.received);
    report.writeDoubleBE(tally.questions, 8);
    socket.send(report, port, HOST);
  });
  const { port } = socket.address();
  return {
    ports: { default: port, "1350": port },
    connections: () => tallies.size,
    [Symbol.asyncDispose]: async () => {
      socket.close();
    },
  };
}

function dialer({ ports }: DialerOptions): (datagrams: Datagrams) => Dial {
  return (datagrams) => async () => {
    const socket = createSocket("udp4");
    socket.connect(ports[datagrams], HOST);
    await once(socket, "connect");
    enlarge(socket);
    return new DgramClient(socket, DATAGRAM_BYTES[datagrams]);
  };
}

class DgramClient implements BenchClient {
  readonly #socket: Socket;
  readonly #datagramBytes: number;
  /** Bytes that left, less those that were lost. */
  #sent = 0;
  #received = 0;
  #asked = 0;
  #answered = 0;
  #waiting: PromiseWithResolvers<void> | null = null;

  constructor(socket: Socket, datagramBytes: number) {
    this.#socket = socket;
    this.#datagramBytes = datagramBytes;
    socket.on("message", (report) => {
      this.#received = Math.max(this.#received, report.readDoubleBE());
      this.#answered = Math.max(this.#answered, report.readDoubleBE(8));
      this.#waiting?.resolve();
      this.#waiting = null;
    });
    socket.on("error", (error) => this.#waiting?.reject(error));
  }

  async unary(): Promise<void> {
    throw new Error("dgram carries bulk only");
  }

  async openEvents(): Promise<Sink> {
    throw new Error("dgram carries bulk only");
  }

  async openBulk(): Promise<Sink> {
    const start = this.#received;
    let written = start;
    let rest: Uint8Array = EMPTY;
    return {
      write: (bytes) => {
        written += bytes.length;
        rest = this.#sendFull(rest, bytes);
        return this.#sent - this.#received < WINDOW_BYTES ? undefined : this.#room();
      },
      finish: async () => {
        if (rest.length > 0) this.#send([rest]);
        do await this.#settle();
        while (this.#received < written);
        return this.#received - start;
      },
    };
  }

  /** Send all full datagrams. @returns what does not fill one */
  #sendFull(rest: Uint8Array, bytes: Uint8Array): Uint8Array {
    const size = this.#datagramBytes;
    let at = 0;
    if (rest.length > 0) {
      at = size - rest.length;
      if (at > bytes.length) throw new RangeError("a write must fill a datagram");
      this.#send([rest, bytes.subarray(0, at)]);
    }
    for (; at + size <= bytes.length; at += size) this.#send([bytes.subarray(at, at + size)]);
    return bytes.subarray(at);
  }

  #send(parts: readonly Uint8Array[]): void {
    this.#socket.send(parts);
    for (const part of parts) this.#sent += part.length;
  }

  async #room(): Promise<void> {
    while (this.#sent - this.#received >= WINDOW_BYTES) {
      if (!(await this.#isReportedWithin(SILENCE_MS))) await this.#settle();
    }
  }

  /** Ask. Datagrams keep their order here, so what is missing in the answer is lost, and as many bytes are sent again: the receiver counts and does not look. */
  async #settle(): Promise<void> {
    this.#asked++;
    this.#socket.send(EMPTY);
    while (this.#answered < this.#asked) {
      if (!(await this.#isReportedWithin(ANSWER_MS))) throw new Error("dgram: the receiver is silent");
    }
    let lost = this.#sent - this.#received;
    this.#sent = this.#received;
    for (; lost > 0; lost -= Math.min(lost, this.#datagramBytes)) {
      this.#send([new Uint8Array(Math.min(lost, this.#datagramBytes))]);
    }
  }

  /** Whether the receiver says something in time. */
  async #isReportedWithin(ms: number): Promise<boolean> {
    const waiting = (this.#waiting ??= Promise.withResolvers());
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), ms);
    try {
      return await Promise.race([waiting.promise.then(() => true), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}

function enlarge(socket: Socket): void {
  socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
  socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
}
