import { ProtocolError } from "../errors.ts";
import { FrameDecoder } from "../frame/decoder.ts";
import { encodeFrame } from "../frame/encode.ts";
import type { MessageParser } from "../messages/parse.ts";
import { errorFrameOf, type ErrorFacts, type WireMessage } from "../messages/wire.ts";
import type { ByteStream } from "../transport/port.ts";

/** What is not looked at is read into this much memory, however much comes. */
const DISCARD_BYTES = 4096;

const NONE: readonly Uint8Array[] = [];

/**
 * Frames over a {@link ByteStream}. One reader at a time: {@link readBatch} for hot paths, {@link receive} for a
 * question and its answer, iteration for the rest; they may be mixed, each frame is given out once. What the stream
 * throws (`TransportError`) passes through.
 */
export class MessageStream implements AsyncDisposable {
  readonly #stream: ByteStream;
  readonly #decoder: FrameDecoder;
  #ready = NONE;
  #next = 0;

  constructor(stream: ByteStream, options?: { readonly maxFrameBytes?: number }) {
    this.#stream = stream;
    this.#decoder = new FrameDecoder(options);
  }

  /** The id of the stream below. */
  get id(): number {
    return this.#stream.id;
  }

  /**
   * All frame bodies that have arrived and were not read, one at least; `null` once the peer ended.
   * @throws {ProtocolError} `FRAME_TOO_LARGE`, `FRAME_EMPTY`, `FRAME_TRUNCATED`
   */
  async readBatch(): Promise<readonly Uint8Array[] | null> {
    if (this.#next < this.#ready.length) {
      const rest = this.#next === 0 ? this.#ready : this.#ready.slice(this.#next);
      this.#ready = NONE;
      this.#next = 0;
      return rest;
    }
    if (this.#decoder.failure !== undefined) throw this.#decoder.failure;
    for (;;) {
      const chunk = await this.#stream.read();
      if (chunk === null) {
        this.#decoder.end();
        return null;
      }
      const frames = this.#decoder.push(chunk);
      if (frames.length > 0) return frames;
    }
  }

  /**
   * The next frame body; `null` once the peer ended.
   * @throws {ProtocolError} as {@link readBatch}
   */
  async read(): Promise<Uint8Array | null> {
    if (this.#next === this.#ready.length && !(await this.#fill())) return null;
    return this.#take() ?? null;
  }

  /**
   * The next message that `parse` knows; `null` once the peer ended.
   * @throws {ProtocolError} as {@link readBatch}, and what `parse` throws: `RemoteError` for an error frame
   */
  async receive<T>(parse: MessageParser<T>): Promise<T | null> {
    for (;;) {
      const body = await this.read();
      if (body === null) return null;
      const message = parse(body);
      if (message !== undefined) return message;
    }
  }

  /**
   * {@link receive}, where an end is an error.
   * @throws {ProtocolError} `STATE_INVALID` when the peer ended instead
   */
  async expect<T>(parse: MessageParser<T>): Promise<T> {
    const message = await this.receive(parse);
    if (message === null) throw new ProtocolError("STATE_INVALID", "the peer ended the stream before it answered");
    return message;
  }

  /** Every message that `parse` knows, until the peer ends. Leaving the loop leaves the stream as it is. */
  async *messages<T>(parse: MessageParser<T>): AsyncGenerator<T, void, undefined> {
    while (this.#next < this.#ready.length || (await this.#fill())) {
      const body = this.#take();
      if (body === undefined) continue;
      const message = parse(body);
      if (message !== undefined) yield message;
    }
  }

  /** Frame bodies until the peer ends. Leaving the loop leaves the stream as it is. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const body = await this.read();
      if (body === null) return;
      yield body;
    }
  }

  /**
   * Send a message; as {@link ByteStream.write}, a promise must be awaited before more is sent.
   * @throws {ProtocolError} `VALUE_UNENCODABLE`
   */
  send(message: WireMessage): Promise<void> | undefined {
    return this.#stream.write(encodeFrame(message));
  }

  /** Send a whole frame made before, by `encodeFrame` or `frame`: one encoding for many receivers. */
  sendFrame(frame: Uint8Array): Promise<void> | undefined {
    return this.#stream.write(frame);
  }

  /** Send a whole frame that is there in parts, none of which is copied. */
  async sendParts(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) await this.#stream.write(part);
  }

  /** End our side with an explicit last message; the FIN rides on it. */
  end(last: WireMessage): Promise<void> | undefined {
    return this.#stream.end(encodeFrame(last));
  }

  /** Say why in an error frame and end our side. */
  fail(error: ErrorFacts): Promise<void> | undefined {
    return this.#stream.end(encodeFrame(errorFrameOf(error)));
  }

  /** Read on without looking at it until the peer ends: for a stream on which all is said. */
  async discard(): Promise<void> {
    const memory = new Uint8Array(DISCARD_BYTES);
    while ((await this.#stream.read(memory)) !== null);
  }

  /** Abandon both directions. */
  reset(code: number): void {
    this.#stream.reset(code);
  }

  // Nothing is kept of what was given out: a stream may be silent for hours after it.
  #take(): Uint8Array | undefined {
    const body = this.#ready[this.#next++];
    if (this.#next < this.#ready.length) return body;
    this.#ready = NONE;
    this.#next = 0;
    return body;
  }

  async #fill(): Promise<boolean> {
    const frames = await this.readBatch();
    if (frames === null) return false;
    this.#ready = frames;
    this.#next = 0;
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream[Symbol.asyncDispose]();
  }
}
