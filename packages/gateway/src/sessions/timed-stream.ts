/** Deadlines on a peer's frames: a stream that says nothing, or stops in the middle of a frame, holds its memory no longer than that. */
import { CLOSE_CODES, FRAME_HEADER_BYTES, type ByteStream } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/** The first frame of a stream must be complete by then. docs/wire.md, "Limits". */
export const FIRST_FRAME_MS = 2000;
/** A frame that has begun must be complete by then. docs/wire.md, "Limits". */
export const FRAME_PROGRESS_MS = 5000;

/** A stream that resets itself when its peer is late. Between frames it may be silent for as long as it likes. */
export class TimedStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #progress = new FrameProgress();
  #cancelTimer: () => void;
  #isLate = false;

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#cancelTimer = this.#arm(FIRST_FRAME_MS);
  }

  get id(): number {
    return this.#stream.id;
  }

  /** Whether it was reset because its peer was late. */
  get isLate(): boolean {
    return this.#isLate;
  }

  async read(): Promise<Uint8Array | null> {
    const bytes = await this.#stream.read();
    const frames = this.#progress.frames;
    if (bytes !== null) this.#progress.push(bytes);
    if (bytes === null) this.#cancelTimer();
    else if (this.#progress.frames > frames) {
      this.#cancelTimer();
      // A frame that began in the same chunk starts its own time.
      if (this.#progress.midFrame) this.#cancelTimer = this.#arm(FRAME_PROGRESS_MS);
    } else if (this.#progress.began) {
      this.#cancelTimer = this.#arm(FRAME_PROGRESS_MS);
    }
    return bytes;
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    return this.#stream.write(bytes);
  }

  end(bytes?: Uint8Array): Promise<void> | undefined {
    return this.#stream.end(bytes);
  }

  reset(code: number): void {
    this.#cancelTimer();
    this.#stream.reset(code);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const bytes = await this.read();
      if (bytes === null) return;
      yield bytes;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelTimer();
    await this.#stream[Symbol.asyncDispose]();
  }

  #arm(delayMs: number): () => void {
    return this.#clock.after(delayMs, () => {
      this.#isLate = true;
      this.#stream.reset(CLOSE_CODES.timeout);
    });
  }
}

/** Follows the lengths of frames without keeping their bytes. */
class FrameProgress {
  /** Frames complete so far. */
  frames = 0;
  /** Whether the latest push began a frame after the first and did not end it. */
  began = false;
  #headerBytes = 0;
  #header = 0;
  #missing = 0;

  get midFrame(): boolean {
    return this.#headerBytes > 0;
  }

  push(chunk: Uint8Array): void {
    const wasMidFrame = this.midFrame;
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        this.#header = this.#header * 256 + (chunk[at] ?? 0);
        this.#headerBytes += 1;
        at += 1;
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#missing = this.#header;
      } else {
        const taken = Math.min(this.#missing, chunk.length - at);
        this.#missing -= taken;
        at += taken;
      }
      if (this.#headerBytes === FRAME_HEADER_BYTES && this.#missing === 0) this.#next();
    }
    this.began = !wasMidFrame && this.midFrame && this.frames > 0;
  }

  #next(): void {
    this.frames += 1;
    this.#headerBytes = 0;
    this.#header = 0;
  }
}
