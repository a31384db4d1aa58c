import { describe, expect, it } from "vitest";
import { runSuite, type CellSample, type RunOptions } from "../src/run.ts";
import { fakeSuite, LATENCY, PLAN, THROUGHPUT } from "./fake-suite.ts";

const options = (over: Partial<RunOptions> = {}): RunOptions => ({
  reps: 2,
  plan: PLAN,
  rows: [LATENCY, THROUGHPUT],
  peers: ["slow", "fast"],
  profileDir: null,
  settings: {},
  onSample: () => {},
  onFailure: () => {},
  note: () => {},
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
    const { samples } = await runSuite(suite, options({ reps: 1, rows: [THROUGHPUT], plan: { ...PLAN, rounds: 3 } }));
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
    const { samples } = await runSuite(suite, options({ reps: 3 }));
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

  it("closes the rig when ours fails, and says which error it was", async () => {
    const { suite, log } = fakeSuite((work, system) => {
      if (system === "ours" && work === "throughput") throw new Error("ours fell over");
      return { value: 1 };
    });
    await expect(runSuite(suite, options({ peers: ["fast"] }))).rejects.toThrow("ours fell over");
    expect(log).toEqual(["open ours fast", "latency ours", "latency fast", "throughput ours", "close"]);
  });

  it("goes on without a peer that failed at a row, keeps what it did before, and asks it for other rows", async () => {
    const { suite, log } = fakeSuite((work, system, rep) => {
      if (system === "slow" && work === "latency" && rep === 2) throw new Error("slow fell over\n  somewhere");
      return { value: rep };
    });
    const seen: unknown[] = [];
    const { samples, failures } = await runSuite(
      suite,
      options({ reps: 3, peers: ["slow"], onFailure: (failure) => void seen.push(failure) }),
    );
    const failure = { work: "latency", system: "slow", rep: 2, message: "slow fell over" };
    expect(failures).toEqual([failure]);
    expect(seen).toEqual([failure]);
    expect(samples.get("latency")?.get("slow")).toEqual([{ value: 1 }]);
    expect(samples.get("latency")?.get("ours")).toHaveLength(3);
    expect(samples.get("throughput")?.get("slow")).toHaveLength(3);
    expect(log.filter((line) => line === "latency slow")).toHaveLength(2);
  });

  it("hands the suite its settings", async () => {
    const { suite, log } = fakeSuite(() => ({ value: 1 }));
    await runSuite(suite, options({ reps: 1, rows: [LATENCY], peers: [], settings: { size: 7 } }));
    expect(log).toEqual(["open ours of 7", "latency ours", "close"]);
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
