import { StringDecoder } from "node:string_decoder";

/** Longest line given out, UTF-16 units; a longer one comes in pieces. */
const MAX_LINE = 8192;

/** Cuts bytes into lines, with no more than one line held. */
export class LineSplitter {
  readonly #emit: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  push(chunk: Buffer): void {
    this.#take(this.#decoder.write(chunk));
  }

  /** Give out what is left. */
  end(): void {
    this.#take(this.#decoder.end());
    if (this.#rest !== "") this.#emit(this.#rest);
    this.#rest = "";
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#emitPieces(line.endsWith("\r") ? line.slice(0, -1) : line);
    while (this.#rest.length > MAX_LINE) {
      this.#emit(this.#rest.slice(0, MAX_LINE));
      this.#rest = this.#rest.slice(MAX_LINE);
    }
  }

  #emitPieces(line: string): void {
    for (let at = 0; at === 0 || at < line.length; at += MAX_LINE) this.#emit(line.slice(at, at + MAX_LINE));
  }
}
