import { Bell } from "../bell.ts";

/** A value that changes, for any number of watchers. */
export class Observable<T> {
  readonly #bell = new Bell();
  #value: T;
  #version = 0;

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    this.#version += 1;
    this.#bell.ring();
  }

  /**
   * The value now, then each value that is there when the watcher is ready for the next: one that is slow misses what lay between, never the latest.
   * Ends after a value that `isLast` names.
   * @throws rethrows `signal.reason`
   */
  async *watch(
    options: {
      readonly isLast?: (value: T) => boolean;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): AsyncGenerator<T, void, undefined> {
    let seen = -1;
    for (;;) {
      while (seen === this.#version) await this.#bell.wait(options.signal);
      seen = this.#version;
      const value = this.#value;
      yield value;
      if (options.isLast?.(value) === true) return;
    }
  }
}
