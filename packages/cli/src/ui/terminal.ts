import type { Readable, Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";

/** A stream people may be looking at. */
interface Screen extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
}

/** Where a command reads and writes. Results go to stdout; everything said to a person goes to stderr. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Widest output: what fits every terminal people have. */
const DEFAULT_COLUMNS = 80;

const SGR = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const;

/** A way to stress text. Each reads without it. */
export type Tone = keyof typeof SGR;

/** The command's terminal: results, notes, and whether someone is looking. */
export class Terminal {
  readonly streams: Streams;
  /** Whether stderr redraws in place. */
  readonly live: boolean;
  /** Whether questions can be asked. */
  readonly interactive: boolean;
  readonly #colour: { readonly stdout: boolean; readonly stderr: boolean };

  constructor(streams: Streams) {
    this.streams = streams;
    const dumb = streams.env["TERM"] === "dumb";
    this.live = streams.stderr.isTTY === true && !dumb;
    this.interactive = this.live && streams.stdin.isTTY === true;
    // https://no-color.org: any non-empty value.
    const wanted = (streams.env["NO_COLOR"] ?? "") === "" && !dumb;
    this.#colour = { stdout: wanted && streams.stdout.isTTY === true, stderr: wanted && streams.stderr.isTTY === true };
  }

  /** Columns of the screen, at most what is readable; 80 in a pipe. */
  get columns(): number {
    return Math.max(20, this.streams.stderr.columns ?? this.streams.stdout.columns ?? DEFAULT_COLUMNS);
  }

  /** Whether stderr shows colour. */
  get colour(): boolean {
    return this.#colour.stderr;
  }

  /** Stress `text` for stderr, or for stdout where `on` says so. */
  tone(tone: Tone, text: string, on: "stdout" | "stderr" = "stderr"): string {
    if (!this.#colour[on]) return text;
    const [open, close] = SGR[tone];
    return `\u001B[${open}m${text}\u001B[${close}m`;
  }

  /** A line of the result. */
  result(line: string): void {
    this.streams.stdout.write(`${line}\n`);
  }

  /** One JSON value as a line of the result. */
  json(value: unknown): void {
    this.result(JSON.stringify(value));
  }

  /** A line for the person. */
  note(line: string): void {
    this.streams.stderr.write(`${line}\n`);
  }

  /** Something went well. */
  done(line: string): void {
    this.note(`${this.tone("green", "✓")} ${line}`);
  }
}

/** Columns that `text` takes, escape sequences not counted. The CLI writes no wide characters of its own. */
export function widthOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}
