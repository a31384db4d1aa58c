/** Draws faults. */
import type { Fault, Work } from "../plan.ts";
import type { Random } from "../random.ts";

/** How often each kind of fault comes; kinds that are left out do not. */
export type FaultWeights = Readonly<Partial<Record<Fault["kind"], number>>>;

/** What faults may be about. */
export interface Around {
  readonly nodes: number;
  readonly readers: number;
  readonly work: readonly Work[];
  /** Between 0 and this. */
  readonly untilMs: number;
}

/** Up to `most` faults. Half of them come while something is being done. */
export function drawFaults(random: Random, most: number, weights: FaultWeights, around: Around): readonly Fault[] {
  const kinds = Object.entries(weights).flatMap(([kind, weight]) =>
    Array.from({ length: weight }, () => kind as Fault["kind"]),
  );
  return Array.from({ length: random.between(0, most) }, () => {
    const busy = random.chance(0.5) && around.work.length > 0;
    const at = busy ? random.pick(around.work).at + random.next() * 60 : random.next() * around.untilMs;
    const when = { at: Math.round(at), steps: random.between(0, 40) };
    return { ...when, ...draw(random.pick(kinds), random, around) };
  });
}

type Body = Fault extends infer F ? (F extends Fault ? Omit<F, "at" | "steps"> : never) : never;

function draw(kind: Fault["kind"], random: Random, { nodes, readers }: Around): Body {
  const node = random.between(0, nodes - 1);
  const forMs = Math.round(random.chance(0.7) ? random.next() * 2000 : random.next() * 45_000);
  switch (kind) {
    case "cut":
      return { kind, node };
    case "block":
      return { kind, node, way: random.pick(["both", "to-gateway", "to-node"] as const), forMs };
    case "weather": {
      const latencyMs = random.between(0, 80);
      const weather = {
        latencyMs,
        jitterMs: random.between(0, 200),
        loss: random.next() * 0.4,
        repeat: random.next() * 0.3,
      };
      return { kind, node, weather, forMs: forMs * 2 };
    }
    case "node-crash":
      return { kind, node, how: random.pick(["kill", "power-cut"] as const), forMs };
    case "restore":
      return { kind, node, imageAt: random.between(0, 6000), forMs };
    case "node-stop":
      return { kind, node, forMs };
    case "gateway-crash":
    case "gateway-drain":
    case "store-full":
      return { kind, forMs };
    case "endpoint-crash":
      return { kind };
    case "disk":
      return { kind, node, fault: random.pick(["sync-fails", "short-write", "full-once"] as const) };
    case "disk-full":
      return { kind, node, forMs };
    case "disk-slow":
      return { kind, node, factor: random.between(2, 200), forMs };
    case "store-slow":
      return { kind, commitMs: random.between(20, 2000), forMs };
    case "clock-jump":
      return jump(random, node);
    case "reader-crash":
      return { kind, reader: random.between(0, Math.max(0, readers - 1)), forMs };
    default:
      return kind satisfies never;
  }
}

function jump(random: Random, node: number): Body {
  const byMs = random.pick([-3_600_000, -5000, 5000, 60_000, 86_400_000]);
  return { kind: "clock-jump", machine: random.pick(["gateway", node] as const), byMs };
}

/** When all of `faults` are over, and a gateway or node that was restarted has come up. */
export function calmAfter(faults: readonly Fault[], work: readonly Work[]): number {
  const ends = faults.map((fault) => fault.at + ("forMs" in fault ? fault.forMs : 0));
  return Math.max(0, ...ends, ...work.map(({ at }) => at)) + 100;
}
