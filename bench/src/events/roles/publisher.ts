import { setTimeout as delay } from "node:timers/promises";
import { Node } from "@quaymesh/node";
import type { Answers, Role } from "../calls.ts";
import { dialing } from "../dialing.ts";
import { FLOOD_KIND, monotonicMs, PAYLOAD, TICK_KIND } from "../payload.ts";

/** Publishing at once: enough that a commit is on its way while the next one gathers. */
const AT_ONCE = 2000;

/** Nodes that publish: the first floods and ticks, the others are the crowd. */
export async function servePublisher({ states, port }: Extract<Role, { kind: "publisher" }>) {
  const nodes = await Promise.all(states.map((state) => Node.open({ state, transport: dialing(port) })));
  for (const node of nodes) void node.run();
  await Promise.all(nodes.map(online));
  const [first, ...others] = nodes;
  if (first === undefined) throw new RangeError("there is no node");
  const answers: Answers = {
    flood: ({ ms }) => flood(first, ms),
    tick: ({ ms, everyMs }) => tick(first, ms, everyMs),
    async crowd({ ms, everyMs }) {
      const stop = new AbortController();
      const flooding = flood(first, ms);
      const waits = await Promise.all(others.map((node, index) => quiet(node, { ms, everyMs, index }, stop.signal)));
      stop.abort();
      await flooding;
      return { waitsMs: waits.flat() };
    },
  };
  return {
    answers,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop({ flushMs: 0, graceMs: 0 })));
    },
  };
}

async function online(node: Node): Promise<void> {
  for await (const state of node.states()) if (state.kind === "online") return;
}

async function flood(node: Node, ms: number): Promise<{ readonly events: number; readonly firstAt: number }> {
  const firstAt = monotonicMs();
  let events = 0;
  let last = 0;
  const writers = Array.from({ length: AT_ONCE }, async () => {
    while (monotonicMs() - firstAt < ms) {
      last = Math.max(last, await node.publish(FLOOD_KIND, PAYLOAD));
      events += 1;
    }
  });
  await Promise.all(writers);
  // The last batch is not full.
  last = await node.publish(FLOOD_KIND, PAYLOAD, { flush: true });
  await node.acknowledged(last);
  return { events: events + 1, firstAt };
}

async function tick(node: Node, ms: number, everyMs: number): Promise<{ readonly events: number }> {
  const began = monotonicMs();
  let events = 0;
  for (let at = began; at - began < ms; at += everyMs) {
    await delay(Math.max(0, at - monotonicMs()));
    await node.publish(TICK_KIND, { at: monotonicMs(), pad: PAYLOAD }, { flush: true });
    events += 1;
  }
  return { events };
}

async function quiet(
  node: Node,
  { ms, everyMs, index }: { readonly ms: number; readonly everyMs: number; readonly index: number },
  signal: AbortSignal,
): Promise<readonly number[]> {
  const began = monotonicMs();
  const waits: number[] = [];
  // Not all at the same moment.
  await delay((index * everyMs) / 50);
  while (monotonicMs() - began < ms) {
    const at = monotonicMs();
    const seq = await node.publish(TICK_KIND, { at, pad: PAYLOAD }, { flush: true });
    await node.acknowledged(seq, { signal });
    waits.push(monotonicMs() - at);
    await delay(Math.max(0, everyMs - (monotonicMs() - at)));
  }
  return waits;
}
