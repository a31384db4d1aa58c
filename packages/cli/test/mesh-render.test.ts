import type { MeshRootInfo } from "@quaymesh/gateway/client";
import { describe, expect, test } from "vitest";
import { moveRows } from "../src/commands/gateway-move.ts";
import { renewAdvice, rootRows } from "../src/commands/gateway-root-show.ts";
import { widthOf } from "../src/ui/terminal.ts";

const NOW = Date.parse("2026-11-20T12:00:00Z");
const DAY = 86_400_000;
const LABEL_COLUMNS = 14;

const line = (version: number, shown: boolean) => ({
  version,
  fingerprint: `${version}f`.repeat(32),
  notAfter: NOW + 7300 * DAY,
  issuingNotAfter: NOW + 3650 * DAY,
  shown,
});
const steady: MeshRootInfo = {
  meshId: "aaaaaaaaaaaaaaaa",
  meshName: "harbor",
  roots: [line(0, true)],
  phase: "steady",
  overlapUntil: undefined,
  keyIsHere: true,
  devices: 5,
  unaware: [],
  outdated: [],
};

describe("the root of a mesh on a screen", () => {
  test("says where its key is, and how long it and its intermediate last", () => {
    expect(rootRows(steady, NOW)).toEqual([
      ["mesh", "harbor (aaaaaaaaaaaaaaaa)"],
      ["root", "0f:0f:0f:…:0f:0f:0f  until 2046-11-15, 7300 d left"],
      ["intermediate", "until 2036-11-17, 3650 d left"],
      ["root's key", "on this gateway; take it offline: gateway root export --remove"],
      ["rotation", "none under way"],
    ]);
  });

  test("says what to run before the intermediate ends, where the gateway cannot do it", () => {
    const late = { ...steady, keyIsHere: false, roots: [{ ...line(0, true), issuingNotAfter: NOW + 600 * DAY }] };
    expect(rootRows(late, NOW)).toContainEqual([
      "",
      "ends soon, run: quaymesh gateway root renew-issuing --root-key FILE",
    ]);
    expect(renewAdvice({ ...late, keyIsHere: true }, NOW)).toEqual([]);
    expect(renewAdvice({ ...steady, keyIsHere: false }, NOW)).toEqual([]);
  });

  test("says who is behind and what comes next while it is rotated, within 80 columns", () => {
    const names = ["nas", "old-laptop", "pi-attic", "camera-yard", "box", "printer"];
    const rotating: MeshRootInfo = {
      ...steady,
      roots: [line(0, true), line(1, false)],
      phase: "overlap",
      overlapUntil: NOW + 45 * DAY,
      devices: 6,
      unaware: ["nas"],
      outdated: names,
    };
    const rows = new Map(rootRows(rotating, NOW));
    expect(rows.get("old root")).toContain("in use");
    expect(rows.get("told")).toBe("5 of 6 devices trust the new root");
    expect(rows.get("")).toBe("not yet: nas, old-laptop, pi-attic, camera-yard, and 2 more");
    expect(rows.get("next")).toBe("quaymesh gateway root rotate switch");
    expect(new Map(rootRows({ ...rotating, phase: "switched" }, NOW)).get("next")).toContain("finish");
    for (const text of rows.values()) expect(LABEL_COLUMNS + widthOf(text)).toBeLessThanOrEqual(80);
  });
});

test("a move on a screen says where to, and who has not heard of it", () => {
  const move = { version: 3, at: NOW, addresses: ["b:1"], pairing: [], devices: 2, unaware: ["nas"] };
  expect(moveRows(move)).toEqual([
    ["moves to", "b:1"],
    ["pairing", "-"],
    ["said", "2026-11-20T12:00:00.000Z"],
    ["heard by", "1 of 2 devices"],
    ["not yet", "nas"],
  ]);
  expect(moveRows({ ...move, unaware: [] })).toHaveLength(4);
});
