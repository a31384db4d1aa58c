import type { TaskRow } from "../store/rows.ts";

/** Wakes those who watch a task when it has changed. */
export class TaskHub {
  readonly #watchers = new Map<string, Set<() => void>>();

  changed(task: TaskRow): void {
    for (const wake of this.#watchers.get(task.taskId) ?? []) wake();
  }

  /** A bell for one task; it rings for what happens from now on. */
  watch(taskId: string): TaskBell {
    const watchers = this.#watchers.get(taskId) ?? new Set();
    this.#watchers.set(taskId, watchers);
    return new TaskBell(watchers, () => {
      if (watchers.size === 0 && this.#watchers.get(taskId) === watchers) this.#watchers.delete(taskId);
    });
  }
}

/** Rings when its task has changed; what rang before it is waited for is not lost. */
export class TaskBell implements Disposable {
  readonly #watchers: Set<() => void>;
  readonly #released: () => void;
  readonly #ring = () => {
    this.#rung = true;
    this.#wake();
  };
  #rung = false;
  #wake: () => void = () => undefined;

  constructor(watchers: Set<() => void>, released: () => void) {
    this.#watchers = watchers;
    this.#released = released;
    watchers.add(this.#ring);
  }

  /** @throws `signal.reason` once aborted */
  async rung(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#rung) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#wake = resolve;
      try {
        await promise;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    }
    this.#rung = false;
  }

  [Symbol.dispose](): void {
    this.#watchers.delete(this.#ring);
    this.#released();
  }
}
