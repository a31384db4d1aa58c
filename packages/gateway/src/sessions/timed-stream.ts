/** Deadlines on a peer's frames: a stream that says nothing, or stops in the middle of a frame, holds its memory no longer than that. */
import { CLOSE_CODES, FRAME_HEADER_BYTES, type ByteStream } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/** The first frame of a stream must be complete by then. docs/wire.md, "Limits". */
export const FIRST_FRAME_MS = 2000;
/** A frame that has begun must be complete by then. docs/wire.md, "Limits". */
export const FRAME_PROGRESS_MS = 5000;

const NO_TIMER = () => undefined;

/** Why a stream was cut. */
export type LateFrame = "first-frame" | "frame-progress";

/**
 * A stream that resets itself when its peer is late. Between frames it may be silent for as long as it likes. Time passes only while somebody waits for bytes: a peer is not late because
 * our store is.
 */
export class TimedStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #onLate: ((what: LateFrame) => void) | undefined;
  readonly #progress = new FrameProgress();
  #cancelTimer: () => void = NO_TIMER;
  /** Of the time for the frame under way; `Infinity` between frames. */
  #leftMs = FIRST_FRAME_MS;
  #isLate = false;

  /** @param onLate told once, before the reset is sent */
  constructor(stream: ByteStream, clock: Clock, onLate?: (what: LateFrame) => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onLate = onLate;
  }

  get id(): number {
    return this.#stream.id;
  }

  /** Whether it was reset because its peer was late. */
  get isLate(): boolean {
    return this.#isLate;
  }

  read(into?: Uint8Array): Promise<Uint8Array | null> {
    // Between frames, where an idle session waits, there is nothing to time.
    if (this.#leftMs === Infinity) return this.#stream.read(into).then((bytes) => this.#follow(bytes));
    return this.#readInTime(into);
  }

  async #readInTime(into: Uint8Array | undefined): Promise<Uint8Array | null> {
    const since = this.#clock.monotonicMs();
    this.#arm();
    let bytes: Uint8Array | null;
    try {
      bytes = await this.#stream.read(into);
    } finally {
      this.#disarm();
    }
    this.#leftMs -= this.#clock.monotonicMs() - since;
    return this.#follow(bytes);
  }

  #follow(bytes: Uint8Array | null): Uint8Array | null {
    if (bytes === null) {
      this.#leftMs = Infinity;
      return null;
    }
    const frames = this.#progress.frames;
    this.#progress.push(bytes);
    // A frame that began in the same chunk has its own time.
    if (this.#progress.frames > frames || this.#progress.began) {
      this.#leftMs = this.#progress.midFrame ? FRAME_PROGRESS_MS : Infinity;
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
    this.#disarm();
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
    this.#disarm();
    await this.#stream[Symbol.asyncDispose]();
  }

  // Forgotten as well: what cancels a timer holds on to it.
  #disarm(): void {
    this.#cancelTimer();
    this.#cancelTimer = NO_TIMER;
  }

  #arm(): void {
    this.#cancelTimer = this.#clock.after(Math.max(0, this.#leftMs), () => {
      this.#isLate = true;
      this.#onLate?.(this.#progress.frames === 0 ? "first-frame" : "frame-progress");
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
