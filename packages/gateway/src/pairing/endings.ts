/** How windows and requests ended, on disk. A story that is over must not come back with a restart because the disk was full when it ended. */
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";

const RETRY_MS = 5000;

/** What {@link Endings} works with. */
export interface EndingsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the gateway stops: what is unwritten then stays so. */
  readonly signal: AbortSignal;
}

/** Writes endings, and those the store refuses again until it takes them. */
export class Endings {
  readonly #options: EndingsOptions;
  /** By what they end; the newest last. */
  readonly #unwritten = new Map<string, { readonly write: () => Promise<unknown>; readonly cause: unknown }>();
  #cancel: (() => void) | undefined;

  constructor(options: EndingsOptions) {
    this.#options = options;
  }

  /** Why the ending of `id` is not on disk; undefined where it is. */
  unwritten(id: string): unknown {
    return this.#unwritten.get(id)?.cause;
  }

  /** Never rejects. @param write changes nothing where it was done already */
  async write(id: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
      this.#unwritten.delete(id);
    } catch (cause) {
      if (!this.#unwritten.has(id)) {
        this.#options.logger.error(
          { err: cause, id },
          "how a pairing ended could not be written down; it is tried again",
        );
      }
      this.#unwritten.set(id, { write, cause });
      this.#arm();
    }
  }

  #arm(): void {
    const { clock, signal } = this.#options;
    if (this.#cancel !== undefined || signal.aborted) return;
    this.#cancel = clock.after(RETRY_MS, () => {
      this.#cancel = undefined;
      if (!signal.aborted) void this.#again();
    });
  }

  async #again(): Promise<void> {
    for (const [id, { write }] of this.#unwritten) await this.write(id, write);
  }
}
