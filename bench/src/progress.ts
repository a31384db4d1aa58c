import type { WriteStream } from "node:tty";
import type { CellSample, Failure } from "./run.ts";
import { significant } from "./stats.ts";

const BAR = 24;

/** Says on standard error how far a run is: one line that moves on a terminal, one line per sample in a pipe or a log. */
export class Progress {
  readonly #out: WriteStream;
  readonly #total: number;
  #done = 0;

  constructor(out: WriteStream, total: number) {
    this.#out = out;
    this.#total = total;
  }

  /** Another sample is taken. */
  step({ rep, row, system, sample }: CellSample): void {
    this.#done++;
    const text = `rep ${String(rep)}  ${row.work}  ${system}  ${String(significant(sample.value, 3))} ${row.unit}`;
    if (this.#out.isTTY) this.#draw(text);
    else this.#out.write(`[${String(this.#done)}/${String(this.#total)}] ${text}\n`);
  }

  /** What goes on within a sample that takes long. */
  note(text: string): void {
    if (this.#out.isTTY) this.#draw(text);
    else this.#out.write(`  ${text}\n`);
  }

  /** A peer failed; its line stays. */
  failed({ rep, work, system, message }: Failure): void {
    this.end();
    this.#out.write(`rep ${String(rep)}  ${work}  ${system}  FAILED: ${message}\n`);
  }

  /** Leave the terminal clean. */
  end(): void {
    if (this.#out.isTTY) this.#out.write("\r\u001B[2K");
  }

  #draw(text: string): void {
    const filled = Math.min(BAR, Math.round((this.#done / this.#total) * BAR));
    const line = `${"█".repeat(filled)}${"░".repeat(BAR - filled)}  ${text}`;
    this.#out.write(`\r\u001B[2K${line.slice(0, this.#out.columns)}`);
  }
}
