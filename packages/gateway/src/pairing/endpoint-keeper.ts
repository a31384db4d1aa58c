import type { DeskParts, EndpointPort } from "./desk-parts.ts";

/** Pause before an endpoint that did not start is tried again, for windows that outlived the last process. */
const RETRY_MS = 5_000;

/** Has the endpoint's process run for as long as it is needed: while a window is open, and a moment longer for who is still being answered; or always. */
export class EndpointKeeper implements AsyncDisposable {
  readonly #parts: Pick<DeskParts, "door" | "clock" | "limits" | "logger">;
  readonly #endpoint: EndpointPort;
  #cancelLinger: (() => void) | undefined;
  #cancelRetry: () => void = () => {};
  #closed = false;

  constructor(parts: Pick<DeskParts, "door" | "clock" | "limits" | "logger">, endpoint: EndpointPort) {
    this.#parts = parts;
    this.#endpoint = endpoint;
  }

  /** Let it go where nobody needs it. `isBusy`: somebody is still being answered. */
  keep({ isOpen, isBusy }: { readonly isOpen: boolean; readonly isBusy: boolean }): void {
    const needed = isOpen || (this.#parts.door === "always" && !this.#closed);
    if (needed || !isBusy) {
      this.#cancelLinger?.();
      this.#cancelLinger = undefined;
      if (!needed) this.#endpoint.release();
      return;
    }
    const { clock, limits } = this.#parts;
    this.#cancelLinger ??= clock.after(limits.endpoint.lingerMs, () => this.#endpoint.release());
  }

  /** Have it run for windows of an earlier process. Where it does not start the gateway does all the same: it is tried again for as long as they last. Never rejects. */
  async demandWhile(isOpen: () => boolean): Promise<void> {
    if (!isOpen() || this.#closed) return;
    const { clock, logger } = this.#parts;
    try {
      await this.#endpoint.demand();
      logger.info({}, "pre-approved pairing windows are open again");
    } catch (cause) {
      logger.error({ err: cause }, "the pairing endpoint does not start; pre-approved windows wait for it");
      this.#cancelRetry = clock.after(RETRY_MS, () => void this.demandWhile(isOpen));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#cancelLinger?.();
    this.#cancelRetry();
    await this.#endpoint[Symbol.asyncDispose]();
  }
}
