/** A node's process: writers publish one event after the other, and each that resolved is told at once. Argument: {@link NodeSetup} as JSON. */
import { setTimeout as delay } from "node:timers/promises";
import { Node, NodeError } from "@quaymesh/node";
import { Random } from "../../simulation/random.ts";
import { breakNode, type ControlName } from "../controls.ts";
import { CHAOS_KIND, valueOf } from "../events.ts";
import { dialing, obey, tell, tellReady } from "./lines.ts";
import { stutter } from "./stutter.ts";
import { watchSyncs } from "./syncs.ts";

/** What a node's process is told. */
export interface NodeSetup {
  readonly state: string;
  readonly port: number;
  /** Names the events of this process. */
  readonly run: number;
  readonly writers: number;
  /** Whether it publishes from the beginning, or when it is told to. */
  readonly goes: boolean;
  readonly control: ControlName | undefined;
}

/** Longest rest of a writer between two events, milliseconds. */
const MAX_REST_MS = 15;
const REFUSED_REST_MS = 20;
/** How many batches it says twice, as a sender may that does not know whether the first arrived. */
const STUTTER = 0.05;

const setup = JSON.parse(process.argv[2] ?? "") as NodeSetup;
const random = new Random(setup.run);
const unsynced = watchSyncs();
breakNode(setup.control);
stutter(random.fork("stutter"), STUTTER);

let gate = Promise.withResolvers<void>();
let isOpen = setup.goes;
if (isOpen) gate.resolve();
let draining: Promise<void> | undefined;
/** Writers that wait for a publish. */
const working = new Set<number>();
let last = 0;

const node = await Node.open({
  state: setup.state,
  transport: dialing(setup.port),
  log: ({ level, event, message }) => {
    if (level === "error") tell(`x ${event}: ${message}`);
  },
});

obey({
  state: () =>
    tell(
      `state ${node.state.kind}, ${String(node.unacknowledged)} not acknowledged, ${String(working.size)} under way, open ${String(isOpen)}`,
    ),
  go: () => {
    isOpen = true;
    draining = undefined;
    gate.resolve();
  },
  pause: () => {
    // Those who wait at a closed one must not be left there.
    if (isOpen) gate = Promise.withResolvers<void>();
    isOpen = false;
    draining ??= drain();
  },
});

/** Let writers come to rest, and say when the gateway has everything. */
async function drain(): Promise<void> {
  while (working.size > 0) await delay(1);
  tell(`paused ${String(last)}`);
  const seq = await node.publish("chaos.end", null, { flush: true });
  await node.acknowledged(seq);
  tell("drained");
}

async function write(writer: number): Promise<never> {
  const rest = random.fork(`writer ${String(writer)}`);
  // Half of them wait for the disk, a quarter leaves it to the operating system, a quarter wants it sent at once.
  const options = { durability: writer % 4 === 1 ? "buffered" : "durable", flush: writer % 4 === 2 } as const;
  for (let n = 1; ; n++) {
    await gate.promise;
    working.add(writer);
    const name = `${String(writer)} ${String(n)}`;
    try {
      const seq = await node.publish(CHAOS_KIND, valueOf({ run: setup.run, writer, n }), options);
      tell(`p ${name} ${String(seq)}`);
      last = seq;
      if (options.durability === "durable" && unsynced.size > 0) tell(`u ${name}`);
      working.delete(writer);
      await delay(rest.between(0, MAX_REST_MS));
    } catch (error) {
      const code = error instanceof NodeError ? error.code : String(error);
      tell(`r ${name} ${code}`);
      working.delete(writer);
      await delay(REFUSED_REST_MS);
    }
  }
}

const running = node.run();
tellReady();
for (let writer = 0; writer < setup.writers; writer++) void write(writer);
await running;
