import {
  CLOSE_CODES,
  encodeFrame,
  errorFrameOf,
  MAX_UNAUTHENTICATED_FRAME_BYTES,
  MessageStream,
  PAIRING_METHODS,
  parsePairToGateway,
  parseRequest,
  ProtocolError,
  type ByteStream,
  type Connection,
} from "@quaymesh/protocol";
import type { ChildReport } from "../child-protocol.ts";

/** From TLS to the whole first frame. */
const HELLO_TIMEOUT_MS = 5_000;
/** How long a peer may take to hang up once all is said. */
const HANG_UP_MS = 1_000;
/** For whoever says hello to an endpoint that is stopping. */
const STOPPING = encodeFrame(errorFrameOf({ code: "PAIR_CLOSED", message: "no pairing window is open" }));

/** Calls `run` in `delayMs`; what it gives takes that back. */
export type Timer = (delayMs: number, run: () => void) => () => void;

const systemTimer: Timer = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** One peer of the pairing endpoint: its stream's frames, checked, to the gateway, and the gateway's answers back. */
export class PeerRelay {
  readonly #id: number;
  readonly #connection: Connection;
  readonly #report: (message: ChildReport) => void;
  #stream: ByteStream | undefined;
  /** Writes go one after the other. */
  #writing: Promise<void> = Promise.resolve();
  #ended = false;
  /** The peer has said its last word: it waits for nothing but the end. */
  #done = false;
  readonly #after: Timer;
  #hangUp: (() => void) | undefined;
  /** Whether the gateway has heard of this peer. */
  #reported = false;
  #stopping = false;
  readonly #answered = Promise.withResolvers<void>();

  constructor(id: number, connection: Connection, report: (message: ChildReport) => void, after: Timer = systemTimer) {
    this.#after = after;
    this.#id = id;
    this.#connection = connection;
    this.#report = report;
  }

  /** Relay until the peer is gone. Never rejects: whatever a peer does ends that peer alone. */
  async run(): Promise<void> {
    const inTime = this.#after(HELLO_TIMEOUT_MS, () => this.#connection.close(CLOSE_CODES.timeout, "no hello came"));
    try {
      for await (const stream of this.#connection.incomingStreams) {
        this.#stream = stream;
        await this.#relay(stream, inTime);
        break;
      }
    } catch (cause) {
      // A peer that breaks the protocol is told so; one that went away, or sent an error frame, is told nothing.
      if (cause instanceof ProtocolError) this.end(refusal(cause));
    }
    inTime();
    if (this.#ended) await this.#readOut();
    await this.#writing;
    // A peer that ends its side after we ended ours has read why, and one that is done has got what it came for; there is nothing to wait for.
    if (this.#ended || this.#done) this.#connection.close(CLOSE_CODES.ok);
    else this.drop();
    await this.#connection.closed;
    this.#hangUp?.();
  }

  /** Write a whole frame. */
  send(frame: Uint8Array): void {
    if (!this.#ended) this.#write((stream) => stream.write(frame));
  }

  /** Write the last frame, end our side, and give the peer a moment to hang up. */
  end(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#write((stream) => stream.end(frame));
    this.drop();
  }

  /** All is said: let the peer hang up, else do it. */
  drop(): void {
    this.#answered.resolve();
    this.#hangUp ??= this.#after(HANG_UP_MS, () => this.#connection.close(CLOSE_CODES.ok));
  }

  /** The gateway says nothing more. A peer that was told how it ends gets to read it, and who has not been answered, or says its hello only now, is told that it is too late. */
  stop(): void {
    this.#stopping = true;
    // Its hello may have crossed the order to stop: the gateway then has no way to answer it any more.
    if (this.#reported && this.#hangUp === undefined) this.end(STOPPING);
  }

  async #relay(stream: ByteStream, helloCame: () => void): Promise<void> {
    const frames = new MessageStream(stream, { maxFrameBytes: MAX_UNAUTHENTICATED_FRAME_BYTES });
    const first = await frames.read();
    if (first === null) return;
    const { method } = parseRequest(first, PAIRING_METHODS);
    helloCame();
    if (this.#stopping) return this.end(STOPPING);
    this.#reported = true;
    const { peer, remoteAddress } = this.#connection;
    const spki = Buffer.from(peer.spkiSha256).toString("hex");
    this.#report({ kind: "peer", id: this.#id, ...remoteAddress, spki, frame: base64(first) });
    try {
      for await (const body of frames) {
        this.#done = parsePairToGateway(body)?.type === "done";
        this.#report({ kind: "frame", id: this.#id, frame: base64(body) });
      }
      // A question ends with its one frame; who asked is there until it has been answered.
      if (method !== "pair") await Promise.race([this.#answered.promise, this.#connection.closed]);
    } finally {
      this.#report({ kind: "gone", id: this.#id });
    }
  }

  /** Whatever a peer still sends when all is said is dropped, up to its end. */
  async #readOut(): Promise<void> {
    try {
      while (this.#stream !== undefined && (await this.#stream.read()) !== null);
    } catch {
      // It is gone.
    }
  }

  #write(run: (stream: ByteStream) => Promise<void> | undefined): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    // A write that fails means that the peer is gone, which the reading side sees too.
    this.#writing = this.#writing.then(() => run(stream)).catch(() => {});
  }
}

function refusal({ code, message }: ProtocolError): Uint8Array {
  return encodeFrame(errorFrameOf({ code: code === "VERSION_UNSUPPORTED" ? "PAIR_VERSION" : code, message }));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
