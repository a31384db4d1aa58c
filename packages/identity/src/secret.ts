/** `util.inspect.custom`, by its registered name: this file is used where `node:*` must not be imported. */
const inspectCustom = Symbol.for("nodejs.util.inspect.custom");

const REDACTED = "[redacted]";

/**
 * A value that must not reach a log. It prints as `[redacted]` in strings, in JSON and in `util.inspect`; only
 * {@link Secret.reveal} gives the value.
 */
export class Secret<T> {
  #value: T | undefined;

  constructor(value: T) {
    this.#value = value;
  }

  /**
   * The value. Call it where the value is used, not earlier.
   * @throws {TypeError} after {@link Secret.erase}
   */
  reveal(): T {
    if (this.#value === undefined) throw new TypeError("this secret was erased");
    return this.#value;
  }

  /** Overwrite the bytes, where it holds bytes, and forget the value. Idempotent. */
  erase(): void {
    if (this.#value instanceof Uint8Array) this.#value.fill(0);
    this.#value = undefined;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspectCustom](): string {
    return REDACTED;
  }
}
