import { formatOwnCode, Secret } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { ownCodeLines } from "../src/commands/own-code-view.ts";
import { requestJson, requestTable, windowTable } from "../src/commands/pair-list.ts";
import { holderLines, pinLines, requestLines, ticketLines } from "../src/commands/pair-view.ts";
import { encodeQr } from "../src/qr/code.ts";
import { widthOf } from "../src/ui/terminal.ts";
import { NOW, request } from "./pairing-request.ts";
import { fakeTerminal } from "./support.ts";

const MINUTE = 60_000;
const COLUMNS = 80;

describe("open windows", () => {
  test("as a table that never cuts what cancel takes", () => {
    const window = {
      windowId: "01JD2Y7QK4M8N0P2R4T6V8X0WN",
      name: "",
      labels: ["ci", "linux", "a-label-that-is-rather-long-for-a-table"],
      purpose: "farm",
      deviceId: "",
      openedAt: NOW - 1000,
      expiresAt: NOW + 23 * 60 * MINUTE,
      codes: ["ticket"],
      preapproved: true,
      uses: 20,
      usesLeft: 17,
    };
    const asked = {
      ...window,
      name: "build-box",
      labels: [],
      codes: ["ticket", "pin"],
      preapproved: false,
      uses: 1,
      usesLeft: 1,
    };
    const lines = windowTable([window, asked], COLUMNS, NOW);
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(COLUMNS);
    expect(lines[1]).toMatch(/^01JD2Y7QK4M8N0P2R4T6V8X0WN {2}ci linux.* ticket +17\/20 +23 h +given$/u);
    expect(lines[2]).toMatch(/build-box +ticket pin +1\/1 +23 h +asked$/u);
  });
});

describe("a node's own code", () => {
  test("is drawn and written out for its screen, and written out alone where it does not fit", () => {
    const code = formatOwnCode({ spkiSha256: new Uint8Array(32), secret: new Secret(new Uint8Array(16)) });
    const { terminal } = fakeTerminal({ columns: COLUMNS });
    const lines = ownCodeLines(terminal, code, false);
    expect(lines.slice(-3)).toEqual(["  quaymesh pair -", "and pastes", `  ${code}`]);
    expect(lines.length).toBeLessThanOrEqual(24);
    const narrow = ownCodeLines(fakeTerminal({ columns: 30 }).terminal, code, false);
    expect(narrow).toHaveLength(4);
    expect(narrow.at(-1)).toContain(code);
  });
});

describe("the pairing screen", () => {
  const link = `QUAY:${"AEBAGBAFAYDQQCIK".repeat(6).slice(0, 92)}`;
  const window = { windowId: "w", link, pin: "48217093", expiresAt: NOW, addresses: ["192.0.2.10:7421"] };
  const status = { meshName: "harbor" } as Parameters<typeof pinLines>[0]["status"];
  const screen = { status, window, name: "build-box", labels: ["gpu"], png: undefined, preapprovedUses: undefined };

  test("fits 80 x 24 together with the question, the link whole below the code", () => {
    const { terminal } = fakeTerminal({ columns: COLUMNS });
    const lines = ticketLines(terminal, screen, encodeQr(link), "light-blocks");
    const rows = lines.reduce((sum, line) => sum + Math.ceil(widthOf(line) / COLUMNS), 0);
    const question = requestLines(terminal, request).length + 1;
    expect(rows + question).toBeLessThanOrEqual(24);
    expect(lines.at(-1)).toBe(link);
    for (const line of lines.slice(0, -1)) expect(widthOf(line)).toBeLessThanOrEqual(COLUMNS);
    const text = lines.join("\n");
    expect(text).not.toContain("LINK");
    for (const part of [
      'Pair a device with mesh "harbor"',
      "paste the link",
      "quaymesh node join 192.0.2.10",
      "PIN  4821 7093",
    ]) {
      expect(text).toContain(part);
    }
  });

  test("never cuts the address that a PIN is typed at: one too long for its place is below the link", () => {
    const { terminal } = fakeTerminal({ columns: COLUMNS });
    const far = "[2001:db8:1234:5678:9abc:def0:1234:5678]:7431";
    const lines = ticketLines(
      terminal,
      { ...screen, window: { ...window, addresses: [far] } },
      encodeQr(link),
      "light-blocks",
    );
    expect(lines.at(-1)).toBe(`ADDRESS is ${far}`);
    expect(lines.join("\n")).toContain("quaymesh node join ADDRESS");
  });

  test("says who is let in unasked, and shows no PIN where there is none", () => {
    const { terminal } = fakeTerminal({ columns: COLUMNS });
    const given = { ...screen, window: { ...window, pin: "" }, preapprovedUses: 20 };
    const text = ticketLines(terminal, given, encodeQr(link), "light-blocks").join("\n");
    expect(text).toContain("the first 20 devices");
    expect(text).not.toContain("PIN");
  });

  test("puts the text above the code on a narrow screen, and says what to do where no code fits", () => {
    const narrow = ticketLines(fakeTerminal({ columns: 50 }).terminal, screen, encodeQr(link), "light-blocks");
    expect(narrow[0]).toBe('Pair a device with mesh "harbor"');
    const tiny = ticketLines(fakeTerminal({ columns: 30 }).terminal, screen, encodeQr(link), "light-blocks");
    expect(tiny.join("\n")).toContain("--png FILE");
    expect(tiny.at(-1)).toBe(link);
  });

  test("by PIN shows where to go and what to type", () => {
    expect(pinLines(screen)).toEqual([
      'Pair build-box with mesh "harbor"',
      "",
      "On the device run",
      "  quaymesh node join 192.0.2.10",
      "and type",
      "  PIN 4821 7093",
      "",
    ]);
  });

  test("says whose key it is that asks, loudly where it was frozen or revoked", () => {
    const { terminal } = fakeTerminal({ columns: COLUMNS });
    const holder = { deviceId: "01JD2Y7QK4M8N0P2R4T6V8X0DV", name: "old-\u001B[2Jlaptop", state: "paired" } as const;
    const lines = requestLines(terminal, { ...request, holder });
    expect(lines[1]).toMatch(/^Its key is that of old-.*laptop \(01JD2Y7QK4M8N0P2R4T6V8X0DV\): approved, it is$/u);
    expect(lines.join("")).not.toContain("\u001B");
    for (const state of ["frozen", "revoked"] as const) {
      const loud = holderLines({ ...holder, state }, COLUMNS).join(" ");
      expect(loud).toMatch(/^! Its key/u);
      expect(loud).toContain(state.toUpperCase());
    }
    const listed = requestTable([{ ...request, holder: { ...holder, state: "frozen" } }], COLUMNS, NOW).join("\n");
    expect(listed).toContain("FROZEN");
    expect(listed).toContain("anchor  maple  orbit  seven");
    expect(requestJson({ ...request, holder })).toMatchObject({ holder });
  });

  test("shows who asks and the words, readable without colour", () => {
    expect(requestLines(fakeTerminal({ columns: COLUMNS }).terminal, request)).toEqual([
      "build-box is asking, from 192.0.2.57:40000 (linux x64)",
      "Both screens must show:   anchor  maple  orbit  seven",
    ]);
  });
});
