import { describe, expect, it } from "vitest";
import { ok, runChecks, skipped, worstFinding, wrong, type Check, type Finding } from "../src/index.ts";

const CODE = { code: "A_CODE", fix: "mend it" };

const named = (name: string, run: Check<string[]>["run"], needs?: readonly string[]): Check<string[]> => ({
  name,
  run: (asked) => {
    asked.push(name);
    return run(asked);
  },
  ...(needs && { needs }),
});

describe("checks", () => {
  it("are asked in order, and what stands on one that failed or was skipped is skipped and says why", async () => {
    const asked: string[] = [];
    const told: string[] = [];
    const findings = await runChecks(
      [
        named("name", () => wrong("failed", "no such name", CODE)),
        named("udp", () => ok("answers"), ["name"]),
        named("mtu", () => ok("1350"), ["udp"]),
        named("disk", () => wrong("warning", "little", CODE)),
        named("outbox", () => ok("fits"), ["disk"]),
        named("clock", () => skipped("not told")),
      ],
      asked,
      { onFinding: ({ check }) => told.push(check) },
    );
    expect(asked).toEqual(["name", "disk", "outbox", "clock"]);
    expect(told).toEqual(["name", "udp", "mtu", "disk", "outbox", "clock"]);
    expect(findings.map(({ check, verdict, seen }) => `${check} ${verdict} ${seen}`)).toEqual([
      "name failed no such name",
      "udp skipped needs: name",
      "mtu skipped needs: udp",
      "disk warning little",
      "outbox ok fits",
      "clock skipped not told",
    ]);
  });

  it("that throw have found something too, and the others are asked all the same", async () => {
    const thrown = Object.assign(new Error("EACCES: not yours"), { code: "EACCES" });
    const findings = await runChecks([named("a", () => Promise.reject(thrown)), named("b", () => ok("fine"))], []);
    expect(findings).toMatchObject([
      { check: "a", verdict: "failed", code: "EACCES", seen: expect.stringContaining("not yours") },
      { check: "b", verdict: "ok" },
    ]);
  });

  it("end with their signal", async () => {
    const over = new AbortController();
    const stop = named("a", () => {
      over.abort(new Error("enough"));
      return ok("fine");
    });
    await expect(runChecks([stop, named("b", () => ok("fine"))], [], { signal: over.signal })).rejects.toThrow(
      "enough",
    );
  });

  it("are as bad as the first that failed, else the first warning", () => {
    const finding = (check: string, verdict: Finding["verdict"]): Finding => ({ check, verdict, seen: "" });
    const [good, bad, worse, worst] = [
      finding("a", "ok"),
      finding("b", "warning"),
      finding("c", "failed"),
      finding("d", "failed"),
    ];
    expect(worstFinding([good, bad, worse, worst])).toBe(worse);
    expect(worstFinding([good, bad])).toBe(bad);
    expect(worstFinding([good, finding("e", "skipped")])).toBeUndefined();
  });
});
