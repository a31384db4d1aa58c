import { bodyOf } from "../actors/node.ts";
import { deviceIdOf } from "../actors/node.ts";
import type { Fault, Plan, ReaderPlan, Work } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Broken } from "../broken.ts";
import { Stage } from "../stage.ts";
import { EPOCH_MS } from "../world.ts";
import { calmAfter, drawFaults, type FaultWeights } from "./faults.ts";
import type { Running, Scenario } from "./scenario.ts";

type PublishWork = Extract<Work, { kind: "publish" }>;

const SPAN_MS = 12_000;
const KINDS = ["sim.tick", "sim.tock", "other.note"] as const;

const FAULTS: FaultWeights = {
  cut: 3,
  block: 3,
  weather: 4,
  "node-crash": 5,
  "node-stop": 1,
  "gateway-crash": 5,
  "gateway-drain": 1,
  disk: 3,
  "disk-full": 1,
  "disk-slow": 1,
  "store-full": 2,
  "store-slow": 2,
  "clock-jump": 1,
  "reader-crash": 2,
};

/** So many seeds keep only the newest events, and what durable subscriptions need. */
const KEEP_SHARE = 0.4;
/** So many seeds have more to read than a reader's window takes, and readers who let it wait until they are cut off. They take long, so they are few. */
const BULK_SHARE = 0.015;
/** Wider than a reader's credit, which is then what holds the gateway back. */
const WIDE_BYTES = 4_194_304;
/** So many seeds have nodes that pack their batches, and one with enough to say. */
const PACK_SHARE = 0.25;
/** So many seeds have a node whose disk is put back to what it was. */
const RESTORE_SHARE = 0.12;
const LONG_TALE = { count: 250, bytes: 60, buffered: false };
const BULK = { count: 80, bytes: 3500, buffered: false };

/** Events: outbox, publisher, ingest, log, subscriptions. */
export const events: Scenario = {
  name: "events",
  about: "each event recorded is in the log once, in order, and read once",
  plan,
  build,
};

function plan(seed: number, random: Random): Plan {
  const nodes = random.between(1, 3);
  const isBulk = random.chance(BULK_SHARE);
  const drawn = Array.from({ length: random.between(1, 3) }, () => drawReader(random, nodes));
  const readers = isBulk ? drawn.map(inNoHurry) : drawn;
  const work = Array.from({ length: random.between(2, 9) }, () => drawPublish(random, nodes));
  if (isBulk) work.push(...Array.from({ length: 5 }, (): PublishWork => ({ ...drawPublish(random, nodes), ...BULK })));
  const faults = drawFaults(random, 6, FAULTS, { nodes, readers: readers.length, work, untilMs: SPAN_MS });
  const windowBytes = isBulk ? WIDE_BYTES : random.pick([600, 8192, 262_144]);
  const stutter = random.chance(0.3) ? 0.3 : 0;
  const calmAt = calmAfter(faults, work);
  const keep = random.chance(KEEP_SHARE) ? random.between(1, 20) : undefined;
  const packs = random.chance(PACK_SHARE);
  if (packs) work.push({ ...drawPublish(random, nodes), ...LONG_TALE });
  const restored = random.chance(RESTORE_SHARE) ? drawRestore(random, nodes) : undefined;
  if (restored !== undefined) {
    const all = { work: [...work, ...restored.work], faults: [...faults, ...restored.faults] };
    const calmAt = calmAfter(all.faults, all.work);
    return { scenario: "events", seed, nodes, readers, windowBytes, stutter, ...all, calmAt };
  }
  const drawnPlan: Plan = { scenario: "events", seed, nodes, readers, windowBytes, stutter, work, faults, calmAt };
  return { ...drawnPlan, ...(keep !== undefined && { keep }), ...(packs && { packs }) };
}

/** A node's disk is put back to an image. While nobody can be reached it goes on, with numbers that it has used before. */
function drawRestore(random: Random, nodes: number): Pick<Plan, "work" | "faults"> {
  const node = random.between(0, nodes - 1);
  const imageAt = random.between(200, 6000);
  const at = imageAt + random.between(50, 5000);
  const forMs = random.between(1, 1000);
  const up = at + forMs;
  const between = Array.from({ length: random.between(0, 3) }, () => random.between(imageAt, at));
  const after = Array.from({ length: random.between(0, 4) }, () => up + random.between(5, 300));
  const work = [...between, ...after].map((at) => Object.assign(drawPublish(random, nodes), { node, at }));
  const restore: Fault = { kind: "restore", at, steps: random.between(0, 40), node, imageAt, forMs };
  const block: Fault = { kind: "block", at, steps: 0, node, way: "both", forMs: forMs + random.between(0, 400) };
  return { work, faults: random.chance(0.5) ? [restore, block] : [restore] };
}

function inNoHurry(reader: ReaderPlan): ReaderPlan {
  return { ...reader, slowMs: 500 };
}

/** Some events of some node. */
export function drawPublish(random: Random, nodes: number): PublishWork {
  return {
    kind: "publish",
    at: Math.round(random.next() * SPAN_MS),
    node: random.between(0, nodes - 1),
    count: random.chance(0.06) ? random.between(90, 130) : random.between(1, 6),
    bytes: random.chance(0.1) ? random.between(500, 3000) : random.between(0, 60),
    buffered: random.chance(0.15),
    flush: random.chance(0.3),
  };
}

/** A reader with or without a filter. */
export function drawReader(random: Random, nodes: number): ReaderPlan {
  return {
    at: random.chance(0.3) ? "operator" : random.between(0, nodes - 1),
    ...(random.chance(0.3) && {
      kinds: random.pick([["sim.*"], ["sim.tick"], ["other.note", "sim.tock"], ["mesh.*"]]),
    }),
    ...(random.chance(0.2) && { devices: [random.between(0, nodes - 1)] }),
    ...(random.chance(0.35) && { durable: true }),
  };
}

function build(plan: Plan, broken: Broken): Running {
  const stage = new Stage(plan, {}, broken);
  publishAll(stage);
  return {
    stage,
    check: () => stage.check(),
    isDone: () => stage.isDrained,
    describeRest: () => stage.describeRest(),
  };
}

/** Let the nodes' applications record what the plan wants. */
export function publishAll(stage: Stage): void {
  const counts = new Map<number, number>();
  for (const work of stage.plan.work) {
    if (work.kind === "publish") stage.world.after(work.at, () => publish(stage, work, counts));
  }
}

function publish(stage: Stage, work: PublishWork, counts: Map<number, number>): void {
  const node = stage.sites[work.node]?.node;
  const outbox = node?.parts?.outbox;
  if (node === undefined || outbox === undefined) return;
  for (let left = work.count; left > 0; left--) {
    const index = counts.get(work.node) ?? 0;
    counts.set(work.node, index + 1);
    const kind = KINDS[index % KINDS.length] ?? KINDS[0];
    const data = bodyOf(work.node, index, work.bytes);
    const asked = stage.recorded.asked(deviceIdOf(work.node), data, work.buffered);
    outbox
      .append({ kind, time: EPOCH_MS + index, data }, { durability: work.buffered ? "buffered" : "durable" })
      .then((seq) => {
        stage.recorded.resolved(asked, seq, outbox.epoch);
        if (work.flush && left === 1) node.flush();
      })
      .catch((cause: unknown) => {
        stage.guard(() => stage.recorded.rejected(asked, cause instanceof Error ? cause.message : String(cause)));
      });
  }
}
