import { describe, expect, it } from "vitest";
import { figureOf } from "../src/sessions/figures.ts";
import { climb, rungsOf, sharesOf, type Climbed } from "../src/sessions/ladder.ts";

const KB = 1e3;
const EMPTY_BYTES = 50e6;

interface Cost {
  /** Bytes of the server with so many sessions, beyond the empty one. */
  readonly bytes: (sessions: number) => number;
  /** µs of a request with so many open. */
  readonly latency: (sessions: number) => number;
  /** Sessions that get lost while idle. */
  readonly loses?: number;
}

/** A server and its clients that exist on paper. */
function paperCrew({ bytes, latency, loses = 0 }: Cost) {
  let sessions = 0;
  let cpu = 0;
  const log: string[] = [];
  const crew: Climbed = {
    hold: async (held, targets) => {
      const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
      expect(sum(held)).toBe(sessions);
      cpu += (sum(targets) - sessions) * 1e-3;
      sessions = sum(targets);
      log.push(`hold ${targets.join("+")}`);
      return 2;
    },
    release: async () => {
      sessions = 0;
      log.push("release");
    },
    settle: async (wanted) => {
      if (sessions - loses !== wanted && wanted > 0) throw new Error(`holds ${String(sessions - loses)}`);
    },
    collect: async () => {},
    memory: async () => ({ rss: EMPTY_BYTES + bytes(sessions), heap: 0, external: 0 }),
    cpuSeconds: async () => cpu,
    touch: async () => ({ value: latency(sessions), operations: 1, extra: { "µs p99": latency(sessions) * 2 } }),
  };
  return { crew, log };
}

const options = {
  rungs: rungsOf(1000),
  clients: 2,
  idleMs: 1,
  touchMs: 1,
  settleMs: 0,
  note: () => {},
  signal: new AbortController().signal,
};

describe("a ladder", () => {
  it("is climbed from the empty server, after a warm-up that is forgotten", async () => {
    const { crew, log } = paperCrew({ bytes: (count) => count * 40 * KB, latency: () => 100 });
    const rungs = await climb(crew, options);
    expect(log).toEqual(["hold 32+32", "release", "hold 5+5", "hold 50+50", "hold 250+250", "hold 500+500"]);
    expect(rungs.map(({ sessions }) => sessions)).toEqual([10, 100, 500, 1000]);
    expect(figureOf("memory", rungs)).toEqual({
      value: 40,
      extra: { "at 10": 40, "at 100": 40, "at 500": 40, "JS of it": 0 },
    });
    expect(figureOf("establish", rungs).value).toBeCloseTo(1000 / 8);
    expect(figureOf("active", rungs)).toMatchObject({ value: 100, extra: { "µs p99": 200 } });
  });

  it("shows a cost that is linear as 1, and one that grows with the square as 10", async () => {
    const linear = await climb(paperCrew({ bytes: (count) => count * KB, latency: () => 100 }).crew, options);
    expect(figureOf("memory-growth", linear).value).toBeCloseTo(1);
    expect(figureOf("active-growth", linear).value).toBeCloseTo(1);
    const square = { bytes: (count: number) => count ** 2, latency: (count: number) => count };
    const steep = await climb(paperCrew(square).crew, options);
    expect(figureOf("memory-growth", steep).value).toBeCloseTo(10);
    expect(figureOf("active-growth", steep).value).toBeCloseTo(100);
  });

  it("is no figure where a session was lost on the way", async () => {
    const { crew } = paperCrew({ bytes: (count) => count, latency: () => 1, loses: 1 });
    await expect(climb(crew, options)).rejects.toThrow("holds 9");
  });

  it("spreads sessions over clients so that none has more than its share", () => {
    expect(sharesOf(10_000, 2)).toEqual([5000, 5000]);
    expect(sharesOf(101, 3)).toEqual([34, 34, 33]);
    expect(sharesOf(1, 2)).toEqual([1, 0]);
    expect(rungsOf(10_000)).toEqual([100, 1000, 5000, 10_000]);
  });
});
