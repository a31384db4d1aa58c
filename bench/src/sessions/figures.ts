import type { Sample } from "../suite.ts";
import type { Rung } from "./ladder.ts";
import type { SessionsWork } from "./rows.ts";

const KB = 1e3;

/** A row's figure out of what was found on the rungs, with those of the lower rungs beside it. @throws {RangeError} for a ladder without rungs */
export function figureOf(work: SessionsWork, rungs: readonly Rung[]): Sample {
  switch (work) {
    case "memory":
    case "gateway-memory":
      return column(rungs, ({ rssPerSession }) => rssPerSession / KB, {
        "JS of it": top(rungs).heapPerSession / KB,
      });
    case "memory-growth":
      return { value: top(rungs).rssPerSession / tenth(rungs).rssPerSession };
    case "idle-cpu":
    case "gateway-cpu":
      return column(rungs, ({ idleCpu }) => idleCpu * 100);
    case "idle-cpu-growth":
      return { value: idleEach(top(rungs)) / idleEach(tenth(rungs)) };
    case "establish":
      return establishing(rungs);
    case "active":
      return column(rungs, latencyOf, { "µs p99": top(rungs).latency?.p99 ?? Number.NaN });
    case "active-growth":
      return { value: latencyOf(top(rungs)) / latencyOf(rungs[0]) };
    default:
      return work satisfies never;
  }
}

/** The last rung's figure, the others' as further ones. */
function column(
  rungs: readonly Rung[],
  figure: (rung: Rung) => number,
  extra: Readonly<Record<string, number>> = {},
): Sample {
  const lower = rungs.slice(0, -1).map((rung) => [`at ${String(rung.sessions)}`, figure(rung)] as const);
  return { value: figure(top(rungs)), extra: { ...Object.fromEntries(lower), ...extra } };
}

/** All sessions over all the time it took to open them; and what the last half cost beside it. */
function establishing(rungs: readonly Rung[]): Sample {
  let before = 0;
  let seconds = 0;
  let cpu = 0;
  for (const { sessions, perSecond, cpuPerSession } of rungs) {
    seconds += (sessions - before) / perSecond;
    cpu += (sessions - before) * cpuPerSession;
    before = sessions;
  }
  const extra = {
    "server CPU µs": (cpu / before) * 1e6,
    "last half": top(rungs).perSecond,
    "its CPU µs": top(rungs).cpuPerSession * 1e6,
  };
  return { value: before / seconds, extra };
}

function idleEach({ idleCpu, sessions }: Rung): number {
  return idleCpu / sessions;
}

function latencyOf(rung: Rung | undefined): number {
  return rung?.latency?.p50 ?? Number.NaN;
}

function top(rungs: readonly Rung[]): Rung {
  const last = rungs.at(-1);
  if (last === undefined) throw new RangeError("a ladder has rungs");
  return last;
}

function tenth(rungs: readonly Rung[]): Rung {
  const second = rungs[1];
  if (second === undefined) throw new RangeError("a ladder has a rung at a tenth");
  return second;
}
