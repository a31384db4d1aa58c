/**
 * A node embedded in an application that records numbered events, as fast as its disk takes them; a process of its own, so that it can be killed.
 *
 *     publisher.ts STATE FIRST_MARK PAUSE_AT LAST
 *
 * Records `demo.tick` events numbered 1 to LAST and prints how many are on disk: `{ "recorded": 8500 }`. Each run begins with a `demo.mark` event and
 * prints its sequence; given the first run's, a later run goes on where the outbox ends. After tick PAUSE_AT it waits for a line on stdin. It stays
 * connected until SIGTERM.
 */
import { createInterface } from "node:readline";
import { Node } from "@quaymesh/node";
import { openTransport } from "../quic.ts";

const [state = "", ...numbers] = process.argv.slice(2);
const [firstMark = 0, pauseAt = 0, last = 0] = numbers.map(Number);
/** Events on their way to the disk at once: one fsync serves them all. */
const AT_ONCE = 250;

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const go = new Promise<void>((resolve) => createInterface({ input: process.stdin }).once("line", () => resolve()));

/** The mark's own sequence tells how much of an earlier run is on disk, also what that run had no time to tell. */
async function resume(node: Node): Promise<number> {
  const mark = await node.publish("demo.mark", { pid: process.pid });
  // Between the first run's mark and this one there is one event for each tick.
  const recorded = firstMark === 0 ? 0 : mark - firstMark - 1;
  print({ mark, recordedBefore: recorded });
  return recorded + 1;
}

async function record(): Promise<void> {
  await using node = await Node.open({ state, transport: await openTransport() });
  const running = node.run({ signal: stop.signal });
  let next = await resume(node);
  while (next <= last) {
    if (next === pauseAt + 1) await go;
    const until = Math.min(next <= pauseAt ? pauseAt : last, next + AT_ONCE - 1);
    const recorded: Promise<number>[] = [];
    for (let tick = next; tick <= until; tick += 1) recorded.push(node.publish("demo.tick", { tick }));
    await Promise.all(recorded);
    print({ recorded: until });
    next = until + 1;
  }
  print({ recordedAll: last });
  await running;
}

await record();
// The open stdin would keep the process.
process.exit();
