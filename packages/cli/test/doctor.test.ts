import { describe, expect, test } from "vitest";
import { ok, skipped, wrong, type Finding } from "@quaymesh/protocol";
import { examine } from "../src/doctor/examine.ts";
import { withState } from "../src/doctor/named-state.ts";
import { findingLines } from "../src/doctor/print.ts";
import { Outcome } from "../src/outcome.ts";
import { fakeTerminal } from "./support.ts";

const FINDINGS: readonly Finding[] = [
  { check: "state", ...ok("/home/me/.local/state/quaymesh/node: private, 8 entries") },
  { check: "certificate", ...ok(`good for 29 d, ${"and so on ".repeat(20)}`) },
  {
    check: "udp",
    ...wrong("failed", "gateway.example:7420 gives no answer: lost or dropped on the way between the two machines", {
      code: "GATEWAY_UNREACHABLE",
      fix: "Let UDP to port 7420 pass every firewall between the two, such as:\nsudo ufw allow 7420/udp",
    }),
  },
  { check: "mtu", ...skipped("needs: udp") },
];

describe("an examination on a terminal of 80 columns", () => {
  test("has one line for what is fine, whole sentences and a remedy below for what is not, and no line too long", () => {
    const { terminal } = fakeTerminal({ columns: 80 });
    const lines = FINDINGS.flatMap((finding) => findingLines(terminal, finding));
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines).toEqual([
      "✓ state        /home/me/.local/state/quaymesh/node: private, 8 entries",
      expect.stringMatching(/^✓ certificate  good for 29 d, and so on .*…$/u),
      "✗ udp          gateway.example:7420 gives no answer: lost or dropped on the way",
      "               between the two machines (GATEWAY_UNREACHABLE)",
      "               > Let UDP to port 7420 pass every firewall between the two, such",
      "                 as:",
      "               > sudo ufw allow 7420/udp",
      "- mtu          needs: udp",
    ]);
  });

  test("prints nothing that draws on the terminal, whatever an impostor's certificate says", () => {
    const { terminal } = fakeTerminal();
    const lines = findingLines(terminal, {
      check: "pin",
      ...wrong("failed", "seen \u001B[2J\u0007evil", { code: "GATEWAY_PIN_MISMATCH", fix: "stop\u001B[31m" }),
    });
    // oxlint-disable-next-line no-control-regex
    expect(lines.join("\n")).not.toMatch(/[\u0000-\u0009\u000B-\u001F]/u);
  });
});

test("commands in findings name the state directory that was given, and only those that are run on it", () => {
  const fix =
    "On the gateway  quaymesh pair --device NAME\nand here  quaymesh node join\nor from outside  quaymesh node doctor  tells";
  const finding: Finding = { check: "identity", ...wrong("failed", "gone", { code: "X", fix }) };
  expect(withState(finding, "/srv/a b", "node").fix).toBe(
    "On the gateway  quaymesh pair --device NAME\nand here  quaymesh node join --state '/srv/a b'\nor from outside  quaymesh node doctor --state '/srv/a b'  tells",
  );
  const process: Finding = { check: "process", ...ok("closed; open it with  quaymesh pair") };
  expect(withState(process, "./gw", "gateway").seen).toBe("closed; open it with  quaymesh pair --state ./gw");
  expect(withState(process, "./node", "node").seen).toBe("closed; open it with  quaymesh pair");
});

describe("the exit code of an examination", () => {
  const exitFor = async (findings: readonly Finding[], json = false) => {
    const { terminal, stdout } = fakeTerminal();
    const exit = await examine(terminal, { json }, (onFinding) => {
      for (const finding of findings) onFinding(finding);
      return Promise.resolve(findings);
    }).then(
      () => 0,
      (cause: unknown) => (cause instanceof Outcome ? cause.exit : Promise.reject(cause)),
    );
    return { exit, stdout: stdout.text };
  };
  const warning: Finding = {
    check: "disk",
    ...wrong("warning", "little", { code: "OUTBOX_DISK_FULL", fix: "free some" }),
  };

  test("is 0 where all is well, 8 where something is to be looked at, and else that of what failed first", async () => {
    expect(await exitFor(FINDINGS.slice(0, 1))).toMatchObject({ exit: 0, stdout: expect.stringContaining("1 fine") });
    expect(await exitFor([warning])).toMatchObject({ exit: 8 });
    expect(await exitFor([warning, ...FINDINGS])).toMatchObject({
      exit: 3,
      stdout: expect.stringContaining("1 failed, 1 to look at, 1 skipped, 2 fine  (exit 3)"),
    });
  });

  test("and the findings are one JSON value for programs", async () => {
    const { exit, stdout } = await exitFor(FINDINGS, true);
    expect(exit).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: "failed",
      code: "GATEWAY_UNREACHABLE",
      exit: 3,
      findings: FINDINGS.map(({ check, verdict }) => ({ check, verdict })),
    });
  });
});
