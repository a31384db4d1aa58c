import type { Plan, Rig, RigOptions, RowSpec, Sample, SettingSpec, Suite } from "../src/suite.ts";

/** Rows of a suite that measures nothing real: one where less is better, one where more is, each with a peer to reach and one to look at. */
export const LATENCY: RowSpec = {
  work: "latency",
  unit: "µs",
  better: "lower",
  about: "how long",
  goals: { slow: 0.5, fast: null },
};
export const THROUGHPUT: RowSpec = {
  work: "throughput",
  unit: "req/s",
  better: "higher",
  about: "how many",
  goals: { slow: 2, odd: null },
};

/** How large, whatever it is. */
const SIZE: SettingSpec = { name: "size", about: "how large", default: 100, quick: 10, least: 2, most: 1000 };

/** One round. */
export const PLAN: Plan = {
  rounds: 1,
  first: { warmupMs: 20, measureMs: 1 },
  later: { warmupMs: 10, measureMs: 1 },
};

/** A suite whose figures the test makes up; `log` tells what the runner did. */
export function fakeSuite(figure: (work: string, system: string, rep: number) => Sample): {
  readonly suite: Suite;
  readonly log: string[];
} {
  const log: string[] = [];
  let rep = 0;
  const open = async ({ systems, settings }: RigOptions): Promise<Rig> => {
    rep++;
    log.push(`open ${systems.join(" ")}${settings["size"] === undefined ? "" : ` of ${String(settings["size"])}`}`);
    return {
      measure: async (work, system, { warmupMs }) => {
        log.push(`${work} ${system}${warmupMs === PLAN.first.warmupMs ? "" : " again"}`);
        return figure(work, system, rep);
      },
      [Symbol.asyncDispose]: async () => {
        log.push("close");
      },
    };
  };
  return {
    suite: {
      name: "fake",
      about: "figures made up",
      takes: "no time",
      rows: [LATENCY, THROUGHPUT],
      optionalPeers: ["odd"],
      settings: [SIZE],
      reps: 3,
      plan: PLAN,
      quickPlan: PLAN,
      open,
    },
    log,
  };
}
