import { describe, expect, it } from "vitest";
import { runSuite, type CellSample, type RunOptions } from "../src/run.ts";
import { fakeSuite, LATENCY, PLAN, THROUGHPUT } from "./fake-suite.ts";

const options = (over: Partial<RunOptions> = {}): RunOptions => ({
  reps: 2,
  plan: PLAN,
  rows: [LATENCY, THROUGHPUT],
  peers: ["slow", "fast"],
  profileDir: null,
  onSample: () => {},
  signal: new AbortController().signal,
  ...over,
});

describe("a run", () => {
  it("does a row on every system before the next row, begins each repetition with another system, on a fresh rig", async () => {
    const { suite, log } = fakeSuite(() => ({ value: 1 }));
    await runSuite(suite, options());
    expect(log).toEqual([
      "open ours slow fast",
      "latency ours",
      "latency slow",
      "latency fast",
      "throughput ours",
      "throughput slow",
      "close",
      "open ours slow fast",
      "latency slow",
      "latency fast",
      "latency ours",
      "throughput slow",
      "throughput ours",
      "close",
    ]);
  });

  it("lets the systems take turns within a row, and warms up again only a little", async () => {
    const { suite, log } = fakeSuite(() => ({ value: 1 }));
    const samples = await runSuite(suite, options({ reps: 1, rows: [THROUGHPUT], plan: { ...PLAN, rounds: 3 } }));
    expect(log).toEqual([
      "open ours slow",
      "throughput ours",
      "throughput slow",
      "throughput slow again",
      "throughput ours again",
      "throughput ours again",
      "throughput slow again",
      "close",
    ]);
    expect(samples.get("throughput")?.get("slow")).toHaveLength(3);
  });

  it("keeps the samples of a cell in the order of the repetitions", async () => {
    const { suite } = fakeSuite((work, system, rep) => ({ value: rep * 10 + work.length + system.length }));
    const samples = await runSuite(suite, options({ reps: 3 }));
    const values = samples
      .get("latency")
      ?.get("slow")
      ?.map(({ value }) => value);
    expect(values).toEqual([21, 31, 41]);
  });

  it("starts and measures only the systems and rows that were chosen", async () => {
    const { suite, log } = fakeSuite(() => ({ value: 1 }));
    await runSuite(suite, options({ reps: 1, rows: [LATENCY], peers: ["fast"] }));
    expect(log).toEqual(["open ours fast", "latency ours", "latency fast", "close"]);
  });

  it("closes the rig when a system fails, and says which error it was", async () => {
    const { suite, log } = fakeSuite((_work, system) => {
      if (system === "slow") throw new Error("slow fell over");
      return { value: 1 };
    });
    await expect(runSuite(suite, options())).rejects.toThrow("slow fell over");
    expect(log).toEqual(["open ours slow fast", "latency ours", "latency slow", "close"]);
  });

  it("stops between two cells when it is aborted", async () => {
    const { suite, log } = fakeSuite(() => ({ value: 1 }));
    const stop = new AbortController();
    const onSample = ({ system }: CellSample) => {
      if (system === "slow") stop.abort(new Error("enough"));
    };
    await expect(runSuite(suite, options({ onSample, signal: stop.signal }))).rejects.toThrow("enough");
    expect(log).toEqual(["open ours slow fast", "latency ours", "latency slow", "close"]);
  });
});
