import type { Fault, PairingWork, Plan, Work } from "../plan.ts";
import type { Random } from "../random.ts";
import { calmAfter, drawFaults, type FaultWeights } from "../scenarios/faults.ts";

const SPAN_MS = 25_000;
const BUSY_MS = 4000;
const FAULTS: FaultWeights = {
  cut: 4,
  block: 2,
  weather: 5,
  "node-crash": 4,
  "gateway-crash": 5,
  "gateway-drain": 1,
  "endpoint-crash": 4,
  "disk-full": 2,
  "store-full": 3,
  "store-slow": 4,
};
/** So many seeds have a ticket for several machines. */
const FLEET_SHARE = 0.25;
/** So many of those whose door is always open have a machine that sleeps through the end of its certificate. */
const SLEEP_SHARE = 0.5;
/** So many seeds have a store so slow that the gateway gives up on it. */
const STUCK_SHARE = 0.15;
/** Certificates have several hundred bytes, and signatures differ in length: a window that is never full keeps that out of what happens. */
const WINDOW_BYTES = 262_144;

/** What happens in the simulation of this seed. */
export function drawPairing(seed: number, random: Random): Plan {
  const nodes = random.between(1, 3);
  const pairs = Array.from({ length: random.between(1, 3) }, () => drawPair(random, nodes));
  const others = Array.from({ length: random.between(0, 4) }, () => drawOther(random, random.pick(pairs)));
  const fleets = random.chance(FLEET_SHARE) ? [drawFleet(random, nodes)] : [];
  // Only a gateway whose door is always open renews what ran out while nobody pairs.
  const door = random.chance(0.2) ? "always" : "window";
  const sleeps = door === "always" && random.chance(SLEEP_SHARE) ? [drawSleep(random, random.pick(pairs))] : [];
  const work: readonly Work[] = [...pairs, ...fleets, ...others, ...sleeps];
  // What begins goes on for seconds: faults come meanwhile.
  const busy = work.map((each) => Object.assign({}, each, { at: each.at + random.next() * BUSY_MS }));
  const drawn = drawFaults(random, 4, FAULTS, { nodes, readers: 0, work: busy, untilMs: SPAN_MS });
  const faults = random.chance(STUCK_SHARE) ? drawn.map(stuck) : drawn;
  const calmAt = calmAfter(faults, work);
  return {
    scenario: "pairing",
    seed,
    nodes,
    readers: [],
    windowBytes: WINDOW_BYTES,
    stutter: 0,
    door,
    work,
    faults,
    calmAt,
  };
}

function stuck(fault: Fault): Fault {
  return fault.kind === "store-slow" ? { ...fault, commitMs: fault.commitMs * 40 } : fault;
}

function drawPair(random: Random, nodes: number): Work {
  return {
    kind: "pair",
    at: Math.round(random.next() * 4000),
    node: random.between(0, nodes - 1),
    code: random.pick(["ticket", "ticket", "pin", "pin", "both", "node"] as const),
    decision: random.pick(["approve", "approve", "approve", "approve", "approve", "deny", "never", "cancel"] as const),
    walkMs: random.pick([200, 3000]),
    lookMs: random.chance(0.15) ? random.between(15_000, 25_000) : random.between(100, 3000),
    second: { decision: random.pick(["approve", "approve", "deny"] as const), afterMs: random.pick([0, 0, 10, 200]) },
  };
}

function drawFleet(random: Random, nodes: number): Work {
  const when = { at: Math.round(random.next() * 4000), node: random.between(0, nodes - 1) };
  return { kind: "fleet", ...when, uses: random.between(1, nodes + 1) };
}

function drawSleep(random: Random, pair: Work): Work {
  return { kind: "sleep", at: pair.at + random.between(500, 8000), node: pair.node, days: random.pick([31, 100, 300]) };
}

/** Around a machine that is to be paired; mostly while it is. */
function drawOther(random: Random, pair: Work): Work {
  const at = random.chance(0.6) ? pair.at + random.next() * 4000 : random.next() * SPAN_MS;
  return { at: Math.round(at), node: pair.node, ...drawStranger(random) };
}

function drawStranger(random: Random): PairingWork | { readonly kind: "revoke" } {
  switch (random.pick(["guess", "guess", "guess", "thief", "middle", "middle", "renew", "revoke"] as const)) {
    case "guess":
      return {
        kind: "guess",
        stranger: random.between(0, 2),
        code: random.pick(["pin", "pin", "ticket", "unknown"] as const),
        times: random.between(2, 10),
        everyMs: random.pick([1, 1, 30, 500, 2000]),
        manner: random.pick(["waits", "waits", "leaves", "hangs", "babbles"] as const),
      };
    case "thief":
      return { kind: "thief", manner: random.pick(["waits", "babbles"] as const) };
    case "middle":
      return {
        kind: "middle",
        forMs: random.between(1000, 12_000),
        style: random.pick(["relay", "knows", "guesses", "babbles", "babbles"] as const),
      };
    case "renew":
      return { kind: "renew" };
    default:
      return { kind: "revoke" };
  }
}
