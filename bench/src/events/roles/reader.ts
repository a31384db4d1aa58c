import { connect } from "@quaymesh/gateway/client";
import { Node } from "@quaymesh/node";
import type { Answers, Role } from "../calls.ts";
import { dialing } from "../dialing.ts";
import { monotonicMs, tickTimeIn } from "../payload.ts";

/** A node with leave to read everything, and an operator beside it. */
export async function serveReader({ state, port, gateway }: Extract<Role, { kind: "reader" }>) {
  const node = await Node.open({ state, transport: dialing(port) });
  void node.run();
  const operator = await connect({ state: gateway });
  const follower = new Follower(node);
  const answers: Answers = {
    async follow({ kind }) {
      follower.count(kind);
      return null;
    },
    await: ({ events }) => follower.reached(events),
    replay: ({ by, ...wanted }) =>
      by === "node"
        ? replay((signal) => node.subscribe({ signal }), wanted)
        : replay((signal) => operator.events({ signal }), wanted),
  };
  return {
    answers,
    stop: async () => {
      await follower.stop();
      await operator[Symbol.asyncDispose]();
      await node.stop({ flushMs: 0, graceMs: 0 });
    },
  };
}

/** Reads everything from the beginning on, and counts what it was told to. */
class Follower {
  readonly #stop = new AbortController();
  readonly #over: Promise<void>;
  #kind = "";
  #delaysMs: number[] = [];
  #lastAt = 0;
  #events = 0;
  #waiting: { readonly events: number; readonly resolve: () => void } | undefined;

  constructor(node: Node) {
    this.#over = this.#read(node).catch(() => {});
  }

  /** Count the events of one kind from now on. */
  count(kind: string): void {
    this.#kind = kind;
    this.#delaysMs = [];
    this.#events = 0;
  }

  /** Resolves once so many came. */
  async reached(events: number): Promise<{ readonly lastAt: number; readonly delaysMs: readonly number[] }> {
    if (this.#events < events) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = { events, resolve };
      await promise;
    } else this.#lastAt = monotonicMs();
    return { lastAt: this.#lastAt, delaysMs: this.#delaysMs };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#over;
  }

  async #read(node: Node): Promise<void> {
    for await (const event of node.subscribe({ signal: this.#stop.signal })) {
      if (event.kind !== this.#kind) continue;
      this.#events += 1;
      const at = tickTimeIn(event);
      if (at !== undefined) this.#delaysMs.push(monotonicMs() - at);
      if (this.#waiting === undefined || this.#events < this.#waiting.events) continue;
      this.#lastAt = monotonicMs();
      this.#waiting.resolve();
      this.#waiting = undefined;
    }
  }
}

/** Read from the beginning, again and again if the log is shorter, for `ms`. */
async function replay(
  open: (signal: AbortSignal) => AsyncIterable<unknown>,
  { ms, logEvents }: { readonly ms: number; readonly logEvents: number },
): Promise<{ readonly events: number; readonly seconds: number }> {
  const began = monotonicMs();
  let events = 0;
  while (monotonicMs() - began < ms) {
    const stop = new AbortController();
    const end = events + logEvents;
    for await (const event of open(stop.signal)) {
      void event;
      events += 1;
      // A look at the clock costs more than an event.
      if (events === end || (events % 256 === 0 && monotonicMs() - began >= ms)) break;
    }
    stop.abort();
  }
  return { events, seconds: (monotonicMs() - began) / 1000 };
}
