import { setTimeout as delay } from "node:timers/promises";
import { Victim, type VictimOptions } from "./victim.ts";

/** What a {@link Post} starts, over and over. */
export interface PostOptions {
  readonly name: string;
  /** For the start with this number, from 1. */
  readonly victim: (start: number, onLine: (line: string) => void) => VictimOptions;
  readonly onLine: (line: string, start: number) => void;
  /** It ended and nobody had killed it. */
  readonly onOwnEnd: (name: string, what: string) => void;
}

/** How soon a process that ended by itself is started again. */
const RESTART_MS = 100;
/** The first line of a process that is up. */
const READY = /^ready\b ?(.*)$/;

/** A place that is always manned: whoever is killed there is replaced, as a service manager does. */
export class Post implements AsyncDisposable {
  readonly name: string;
  readonly #options: PostOptions;
  readonly #over: Promise<void>;
  #victim: Victim | undefined;
  #ready = Promise.withResolvers<string>();
  #up = false;
  #starts = 0;
  #restartMs: number | undefined;
  #closing = false;

  constructor(options: PostOptions) {
    this.name = options.name;
    this.#options = options;
    this.#over = this.#keepManned();
  }

  /** Resolves when the process that is there now, or the next, has said that it is up; with what it said. */
  get ready(): Promise<string> {
    return this.#ready.promise;
  }

  /** Starts so far. */
  get starts(): number {
    return this.#starts;
  }

  /** Kill it; the next starts that much later. */
  kill(restartMs: number): void {
    // From now on it is not up, however long its end takes to be seen.
    this.#isDown();
    this.#restartMs = restartMs;
    this.#victim?.kill();
  }

  /** Make it stand still. @returns lets it go on, if it is there still */
  stop(): () => void {
    const victim = this.#victim;
    victim?.stop();
    return () => victim?.resume();
  }

  say(line: string): void {
    this.#victim?.say(line);
  }

  async #keepManned(): Promise<void> {
    while (!this.#closing) {
      this.#restartMs = undefined;
      const start = ++this.#starts;
      const victim = new Victim(this.#options.victim(start, (line) => this.#onLine(line, start)));
      this.#victim = victim;
      const { how, stderr } = await victim.over;
      this.#victim = undefined;
      if (this.#closing) return;
      const restartMs: number | undefined = this.#restartMs;
      this.#isDown();
      if (restartMs === undefined) this.#options.onOwnEnd(this.name, `${how}: ${stderr.trim()}`);
      await delay(restartMs ?? RESTART_MS);
    }
  }

  #onLine(line: string, start: number): void {
    const ready = READY.exec(line);
    if (ready === null) this.#options.onLine(line, start);
    else if (this.#restartMs === undefined) {
      this.#up = true;
      this.#ready.resolve(ready[1] ?? "");
    }
  }

  /** Whoever asks from now on waits for the next one. */
  #isDown(): void {
    if (this.#up) this.#ready = Promise.withResolvers<string>();
    this.#up = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#victim?.kill();
    await this.#over;
  }
}
