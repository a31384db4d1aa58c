import type { Clock as GatewayClock } from "@quaymesh/gateway";
import type { Clock as NodeClock } from "@quaymesh/node";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** A computer: what survives the processes on it. */
export interface Machine {
  readonly name: string;
  readonly random: Random;
  /** How far its wall clock is off, milliseconds; changes when it jumps. */
  wallOffsetMs: number;
}

/**
 * One run of a program. Killed, it is gone in the middle of whatever it did: its timers never fire, what it waits for never comes, and what it had
 * not handed to the world by then never happens.
 */
export class Process {
  readonly world: World;
  readonly machine: Machine;
  readonly #deathWatch: (() => void)[] = [];
  #alive = true;

  constructor(world: World, machine: Machine) {
    this.world = world;
    this.machine = machine;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** As SIGKILL. */
  kill(): void {
    this.#alive = false;
    for (const hear of this.#deathWatch.splice(0)) hear();
  }

  /** Called at once when it is killed: the operating system cleans up. */
  onDeath(hear: () => void): void {
    this.#deathWatch.push(hear);
  }

  /** Call `run` in `delayMs` if it still lives. @returns take it back */
  after(delayMs: number, run: () => void): () => void {
    return this.world.after(delayMs, () => {
      if (this.#alive) run();
    });
  }

  /** What `work` gives or throws, `delayMs` from now; never, once it is dead. */
  later<T>(delayMs: number, work: () => T | Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.after(delayMs, () => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /** Time as a node sees it. */
  get nodeClock(): NodeClock {
    const { world, machine } = this;
    return {
      now: () => wallOf(world, machine),
      monotonic: () => world.now,
      random: () => machine.random.next(),
      sleep: (ms, signal) => this.#sleep(ms, signal),
    };
  }

  /** Time as a gateway sees it. */
  get gatewayClock(): GatewayClock {
    const { world, machine } = this;
    return {
      now: () => wallOf(world, machine),
      monotonicMs: () => world.now,
      after: (delayMs, run) => this.after(delayMs, run),
    };
  }

  async #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const cancel = this.after(ms, resolve);
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

function wallOf(world: World, machine: Machine): number {
  return Math.floor(world.wallMs + machine.wallOffsetMs);
}
