/** The client's side of suites that keep many sessions, or make and end many. */
import { quantile } from "../stats.ts";
import type { BenchClient, Dial } from "./systems/system.ts";
import type { Measured } from "./work.ts";

/** Sessions that requests go over in turn: as many whatever else is open, so that only the rest makes a difference. */
const TOUCHED = 100;
/** Connections and requests under way at once. */
const AT_ONCE = 32;

/** Sessions that a client process keeps open. */
export class HeldSessions implements AsyncDisposable {
  readonly #dial: Dial;
  readonly #sessions: BenchClient[] = [];

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  /** Open `sessions` more, `atOnce` under way; each is there when its first request was answered. @returns seconds */
  async hold(sessions: number, atOnce: number): Promise<number> {
    const start = performance.now();
    await repeat(sessions, atOnce, async () => {
      const session = await this.#dial();
      this.#sessions.push(session);
      await session.unary();
    });
    return (performance.now() - start) / 1e3;
  }

  /** Requests one at a time, each on the next of some sessions; the value is the median of their times in µs. */
  async touch(ms: number): Promise<Measured> {
    const step = Math.max(1, Math.floor(this.#sessions.length / TOUCHED));
    const some = this.#sessions.filter((_, index) => index % step === 0).slice(0, TOUCHED);
    const micros: number[] = [];
    const stop = performance.now() + ms;
    for (let start = performance.now(); start < stop && some.length > 0;) {
      await some[micros.length % some.length]?.unary();
      const end = performance.now();
      micros.push((end - start) * 1e3);
      start = end;
    }
    const extra = { "µs p99": quantile(micros, 0.99) };
    return { value: quantile(micros, 0.5), operations: micros.length, extra };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = this.#sessions.splice(0);
    await repeat(all.length, AT_ONCE, async () => await all.pop()?.[Symbol.asyncDispose]());
  }
}

/** Connect, ask once and close, `times` times. */
export async function reconnect(dial: Dial, times: number): Promise<void> {
  await repeat(times, AT_ONCE, async () => {
    await using client = await dial();
    await client.unary();
  });
}

/** Ask `times` times on one connection. */
export async function request(client: BenchClient, times: number): Promise<void> {
  await repeat(times, AT_ONCE, () => client.unary());
}

async function repeat(times: number, atOnce: number, once: () => Promise<void>): Promise<void> {
  let left = times;
  const worker = async () => {
    while (left > 0) {
      left--;
      await once();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, times) }, worker));
}
