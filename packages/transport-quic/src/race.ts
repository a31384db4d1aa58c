import { TransportError } from "@quaymesh/protocol";
import { printAddress } from "./address.ts";
import type { IpAddress } from "./address.ts";

/** RFC 8305 section 8: Connection Attempt Delay. */
const ATTEMPT_DELAY_MS = 250;
/** With many addresses the last one still gets half of the time. */
const LAST_STARTS_WITHIN = 0.5;
/** How long the other addresses have once one has answered with a refusal: the dialer should soon hear why. */
const AFTER_REFUSAL_MS = 1000;

/** Addresses in the order in which they are tried: the resolver's, with the families taking turns (RFC 8305 section 4). */
export function interleaved(addresses: readonly IpAddress[]): readonly IpAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const other = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const ordered: IpAddress[] = [];
  for (let index = 0; index < Math.max(first.length, other.length); index += 1) {
    ordered.push(...[first[index], other[index]].filter((each) => each !== undefined));
  }
  return ordered;
}

/** Options of {@link race}. */
export interface RaceOptions<T> {
  /** One attempt. It may take until `timeoutMs` have passed, and ends when the signal aborts. */
  readonly attempt: (address: IpAddress, timeoutMs: number, signal: AbortSignal) => Promise<T>;
  /** Release what an attempt brought that came too late. */
  readonly discard: (late: T) => void;
  /** For all attempts together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** An address that was tried in vain. */
interface Failure {
  readonly address: IpAddress;
  readonly error: unknown;
}

/**
 * Try addresses one after the other, each a moment after the last or as soon as it failed; the first that completes wins and the others are given up (RFC 8305).
 * @param addresses one at least, in order
 * @throws {TransportError} where all fail; it names each with its reason. What one more address cannot mend ends the race at once. Rethrows `signal.reason`
 */
export async function race<T>(addresses: readonly IpAddress[], options: RaceOptions<T>): Promise<T> {
  const [only] = addresses;
  if (only !== undefined && addresses.length === 1) {
    return options.attempt(only, options.timeoutMs, options.signal ?? new AbortController().signal);
  }
  return new Race(addresses, options).result;
}

class Race<T> {
  readonly #options: RaceOptions<T>;
  readonly #waiting: IpAddress[];
  readonly #running = new Set<AbortController>();
  readonly #failures: Failure[] = [];
  readonly #outcome = Promise.withResolvers<T>();
  readonly #delayMs: number;
  readonly #deadline: number;
  #over = false;
  #next: NodeJS.Timeout | undefined;
  #last: NodeJS.Timeout | undefined;

  constructor(addresses: readonly IpAddress[], options: RaceOptions<T>) {
    this.#options = options;
    this.#waiting = [...addresses];
    this.#delayMs = Math.min(ATTEMPT_DELAY_MS, (options.timeoutMs * LAST_STARTS_WITHIN) / addresses.length);
    this.#deadline = performance.now() + options.timeoutMs;
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
    else this.#startNext();
  }

  get result(): Promise<T> {
    return this.#outcome.promise;
  }

  readonly #abort = (): void => this.#fail(this.#options.signal?.reason);

  #startNext(): void {
    clearTimeout(this.#next);
    const address = this.#waiting.shift();
    if (address === undefined) {
      if (this.#running.size === 0) this.#fail(summary(this.#failures));
      return;
    }
    const controller = new AbortController();
    this.#running.add(controller);
    const timeoutMs = Math.max(1, Math.round(this.#deadline - performance.now()));
    void this.#options.attempt(address, timeoutMs, controller.signal).then(
      (value) => this.#won(value, controller),
      (error: unknown) => this.#lost({ address, error }, controller),
    );
    if (this.#waiting.length > 0) this.#next = setTimeout(() => this.#startNext(), this.#delayMs);
  }

  #won(value: T, controller: AbortController): void {
    this.#running.delete(controller);
    if (this.#over) {
      this.#options.discard(value);
      return;
    }
    this.#settle();
    this.#outcome.resolve(value);
  }

  #lost(failure: Failure, controller: AbortController): void {
    this.#running.delete(controller);
    if (this.#over) return;
    if (isHopeless(failure.error)) {
      this.#fail(failure.error);
      return;
    }
    this.#failures.push(failure);
    if (hasAnswered(failure.error)) {
      this.#last ??= setTimeout(() => this.#fail(summary(this.#failures)), AFTER_REFUSAL_MS);
    }
    this.#startNext();
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#settle();
    this.#outcome.reject(error);
  }

  #settle(): void {
    this.#over = true;
    clearTimeout(this.#next);
    clearTimeout(this.#last);
    this.#options.signal?.removeEventListener("abort", this.#abort);
    for (const controller of this.#running) controller.abort(new Error("another address was taken"));
  }
}

// Ours to mend: it fails the same way everywhere.
const isHopeless = (error: unknown): boolean =>
  !(error instanceof TransportError) || error.code === "CREDENTIALS_INVALID" || error.code === "BINDING_UNAVAILABLE";

const hasAnswered = (error: unknown): boolean =>
  error instanceof TransportError && (error.code === "PEER_REFUSED" || error.code === "CONNECTION_CLOSED");

// The one error that stands for all: an answer says more than silence, and silence more than a network that is not there.
function summary(failures: readonly Failure[]): TransportError {
  const errors = failures.map(({ error }) => error).filter((error) => error instanceof TransportError);
  const telling =
    errors.find(hasAnswered) ?? errors.find(({ code }) => code === "HANDSHAKE_TIMEOUT") ?? errors.find(() => true);
  const each = failures.map(({ address, error }) => `${printAddress(address)}: ${reasonOf(error)}`).join("; ");
  return new TransportError(telling?.code ?? "UNREACHABLE", `no address could be reached (${each})`, {
    cause: new AggregateError(errors, "each address failed"),
    ...(telling?.close !== undefined && { close: telling.close }),
  });
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
