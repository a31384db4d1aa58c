import { GatewayError } from "../errors.ts";
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

  /**
   * Have it run always. A process that does not start, on a machine that is busy for a moment, keeps no gateway from starting: it is tried again.
   * @throws {GatewayError} `PAIRING_PORT_IN_USE`, which only an operator can change
   */
  async openDoor(): Promise<void> {
    try {
      await this.#endpoint.demand();
    } catch (cause) {
      if (!(cause instanceof GatewayError) || cause.code !== "PAIRING_UNAVAILABLE") throw cause;
      this.#again(cause, () => true);
    }
  }

  /** Have it run for windows of an earlier process. Where it does not start the gateway does all the same: it is tried again for as long as they last. Never rejects. */
  async demandWhile(isOpen: () => boolean): Promise<void> {
    if (!isOpen() || this.#closed) return;
    try {
      await this.#endpoint.demand();
      this.#parts.logger.info({}, "the pairing endpoint runs again");
    } catch (cause) {
      this.#again(cause, isOpen);
    }
  }

  #again(cause: unknown, isOpen: () => boolean): void {
    const { clock, logger } = this.#parts;
    logger.error({ err: cause }, "the pairing endpoint does not start; it is tried again");
    this.#cancelRetry();
    this.#cancelRetry = clock.after(RETRY_MS, () => void this.demandWhile(isOpen));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#cancelLinger?.();
    this.#cancelRetry();
    await this.#endpoint[Symbol.asyncDispose]();
  }
}
