import { createWriteStream, mkdirSync, openSync } from "node:fs";
import type { WriteStream } from "node:fs";
import path from "node:path";
import { reportFault } from "../faults.ts";

/** Where the text of one trace goes. Nothing here throws or waits. */
export interface TraceSink {
  /** Records that were not kept, because what takes them was slow or failed. */
  readonly dropped: number;
  /** The trace is worth keeping: what was written before may go out. @returns `false` where nothing is kept all the same; then the sink has ended */
  open(): boolean;
  write(text: string): void;
  end(): void;
}

/** Kept in memory before {@link TraceSink.open}. */
const MAX_HELD_BYTES = 256 << 10;
/** Written at once; smaller pieces wait for more, or for the end of a pause. */
const PIECE_BYTES = 16 << 10;
const MAX_PAUSE_MS = 500;
/** Waiting for the disk; beyond it records are dropped rather than kept in memory. */
const MAX_QUEUED_BYTES = 4 << 20;
/** Readable by its owner alone: a trace tells who talked to whom, and when. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** A file, made when the trace turns out to be worth keeping. */
export class FileSink implements TraceSink {
  readonly #file: string;
  #held: string[] = [];
  #heldBytes = 0;
  #state: "held" | "open" | "failed" | "ended" = "held";
  #stream: WriteStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  dropped = 0;

  /** @param file path; it must not exist */
  constructor(file: string) {
    this.#file = file;
  }

  open(): boolean {
    if (this.#state !== "held") return this.#state === "open";
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: DIRECTORY_MODE });
      // Exclusive: nobody's file is overwritten, and no link followed.
      const descriptor = openSync(this.#file, "wx", FILE_MODE);
      this.#stream = createWriteStream(this.#file, { fd: descriptor });
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#stream.on("error", (error) => this.#fail(error));
    this.#state = "open";
    this.#push();
    return true;
  }

  write(text: string): void {
    const isTaken = this.#state === "held" ? this.#heldBytes < MAX_HELD_BYTES : this.#state === "open" && !this.#isSlow;
    if (!isTaken) {
      this.dropped += 1;
      return;
    }
    this.#held.push(text);
    this.#heldBytes += text.length;
    if (this.#state !== "open") return;
    if (this.#heldBytes >= PIECE_BYTES) this.#push();
    else this.#timer ??= setTimeout(() => this.#push(), MAX_PAUSE_MS).unref();
  }

  end(): void {
    const stream = this.#stream;
    if (this.#state === "open") this.#push();
    if (this.#state !== "failed") this.#state = "ended";
    clearTimeout(this.#timer);
    this.#held = [];
    stream?.end();
  }

  get #isSlow(): boolean {
    return (this.#stream?.writableLength ?? 0) > MAX_QUEUED_BYTES;
  }

  #push(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#heldBytes > 0) this.#stream?.write(this.#held.join(""));
    this.#held = [];
    this.#heldBytes = 0;
  }

  #fail(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    this.#held = [];
    clearTimeout(this.#timer);
    reportFault("trace", error);
  }
}
