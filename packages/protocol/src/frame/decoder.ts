import { ProtocolError } from "../errors.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "./limits.ts";

/** First allocation for a frame that spans chunks; it doubles as bytes really arrive. */
const FIRST_ALLOCATION_BYTES = 4096;

const NONE: readonly Uint8Array[] = [];

/**
 * Cuts a byte stream into frame bodies. A body that lies within one chunk is a view of it; one that spans chunks is
 * copied once, into memory that grows with what has arrived (4 KiB at first, then at most twice it), so a header alone
 * reserves nothing.
 */
export class FrameDecoder {
  readonly maxFrameBytes: number;
  #failure: ProtocolError | undefined;
  /** Header of the frame under way, as far as it has arrived. */
  #header = 0;
  #headerBytes = 0;
  /** Body of the frame under way; its length is known once the header is complete. */
  #body: Uint8Array | undefined;
  #bodyBytes = 0;

  constructor(options?: { readonly maxFrameBytes?: number }) {
    this.maxFrameBytes = options?.maxFrameBytes ?? MAX_FRAME_BYTES;
  }

  /**
   * What every further {@link push} will throw: known as soon as the bad header is there, so that nobody waits for more
   * bytes behind it.
   */
  get failure(): ProtocolError | undefined {
    return this.#failure;
  }

  /**
   * Decode the frames that `chunk` completes; an incomplete tail is kept. Frames in front of a bad header are still
   * returned; the next call throws then.
   * @param chunk bytes as read, any length, 0 included; views of it are returned, so it must not be written to before those are done with
   * @returns frame bodies in wire order
   * @throws {ProtocolError} `FRAME_TOO_LARGE`, `FRAME_EMPTY`; from then on always
   */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    const frames: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        at = this.#readHeader(chunk, at);
        if (this.#headerBytes < FRAME_HEADER_BYTES) break;
        this.#failure = this.#judgeHeader();
        if (this.#failure !== undefined) break;
        continue;
      }
      const missing = this.#header - this.#bodyBytes;
      const end = Math.min(chunk.length, at + missing);
      const part = chunk.subarray(at, end);
      at = end;
      if (part.length === this.#header) frames.push(part);
      else if (this.#append(part) === this.#header && this.#body !== undefined)
        frames.push(this.#body.subarray(0, this.#header));
      else break;
      this.#nextFrame();
    }
    if (frames.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      return NONE;
    }
    return frames;
  }

  /**
   * The stream ended.
   * @throws {ProtocolError} `FRAME_TRUNCATED` inside a frame; the failure of an earlier {@link push}
   */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#headerBytes === 0) return;
    this.#failure = new ProtocolError("FRAME_TRUNCATED", "the stream ended inside a frame");
    throw this.#failure;
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#headerBytes < FRAME_HEADER_BYTES) {
      const byte = chunk[at];
      if (byte === undefined) break;
      this.#header = this.#header * 0x100 + byte;
      this.#headerBytes++;
      at++;
    }
    return at;
  }

  #judgeHeader(): ProtocolError | undefined {
    if (this.#header === 0) return new ProtocolError("FRAME_EMPTY", "a frame without a body");
    if (this.#header <= this.maxFrameBytes) return undefined;
    return new ProtocolError(
      "FRAME_TOO_LARGE",
      `a frame of ${this.#header} bytes where ${this.maxFrameBytes} are allowed`,
    );
  }

  #append(part: Uint8Array): number {
    const needed = this.#bodyBytes + part.length;
    if (this.#body === undefined || this.#body.length < needed) {
      const grown = new Uint8Array(Math.min(this.#header, Math.max(FIRST_ALLOCATION_BYTES, needed * 2)));
      if (this.#body !== undefined) grown.set(this.#body.subarray(0, this.#bodyBytes));
      this.#body = grown;
    }
    this.#body.set(part, this.#bodyBytes);
    this.#bodyBytes = needed;
    return needed;
  }

  #nextFrame(): void {
    this.#header = 0;
    this.#headerBytes = 0;
    this.#body = undefined;
    this.#bodyBytes = 0;
  }
}
