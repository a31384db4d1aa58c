import type { DeviceInfo, TaskInfo, TaskUpdate } from "@quaymesh/gateway/client";
import { describe, expect, test } from "vitest";
import { deviceTable } from "../src/commands/device-list.ts";
import { blastRadius, receiptLines } from "../src/commands/device-revoke.ts";
import { blastRadiusOfMany, bulkLines } from "../src/commands/device-revoke-many.ts";
import { lossLines } from "../src/commands/gateway-accept-loss.ts";
import { rotationLine } from "../src/commands/device-rotate.ts";
import { requestTable } from "../src/commands/pair-list.ts";
import { stateText, taskTable } from "../src/commands/task-list.ts";
import { progressLine } from "../src/commands/task-follow.ts";
import { reportError, wrap } from "../src/report.ts";
import { CliError } from "../src/errors.ts";
import { clock, count, fit, printable, shortFingerprint, shortId, size, span } from "../src/ui/format.ts";
import { LiveLines } from "../src/ui/live.ts";
import { table } from "../src/ui/table.ts";
import { widthOf } from "../src/ui/terminal.ts";
import { NOW, request } from "./pairing-request.ts";
import { fakeTerminal } from "./support.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const COLUMNS = 80;

const device: DeviceInfo = {
  id: "01JD2Y7QK4M8N0P2R4T6V8X0ZA",
  name: "build-box",
  state: "online",
  labels: ["gpu"],
  purpose: "builds",
  platform: "linux x64",
  software: "quaymesh-node/0.1.0",
  pairedAt: NOW - DAY,
  lastSeenAt: NOW,
  certificateNotAfter: NOW + 29.5 * DAY,
  rotationRequestedAt: undefined,
  keyFingerprint: "ab".repeat(32),
  capabilities: ["files.digest"],
  runningTasks: 1,
  taskSlots: 8,
  sessionEpoch: 3,
  remoteAddress: "192.0.2.57:40000",
  lastSeq: 48_112,
  revocation: undefined,
};

const receipt = {
  receiptId: "01JD2Y7QK4M8N0P2R4T6V8X0R3",
  deviceId: device.id,
  deviceName: "old-laptop",
  revocationEpoch: 118,
  sessionsClosed: 1,
  attemptsFenced: 1,
  tasksRequeued: 0,
  windowsClosed: [],
  closedMs: 2.04,
  lastSeq: 48_112,
  revokedAt: Date.parse("2026-11-02T09:00:00Z"),
  reason: "sold",
};

const task: TaskInfo = {
  id: "01JD2Y7QK4M8N0P2R4T6V8X08F",
  definition: "video.thumbs",
  state: "running",
  createdAt: NOW - 4 * MINUTE,
  stateSince: NOW - 3 * MINUTE,
  device: { id: device.id, name: "nas" },
  attempt: 1,
  progress: 0.414,
  progressMessage: "",
  inputBytes: 10,
  outputBytes: 0,
  error: undefined,
  finishedLate: false,
  leaseUntil: NOW + 21_000,
  deadline: undefined,
};

describe("tables at 80 columns", () => {
  test("the fleet", () => {
    const offline = {
      ...device,
      name: "pi-attic",
      state: "offline" as const,
      labels: ["arm"],
      lastSeenAt: NOW - 6 * MINUTE,
    };
    const revoked = {
      ...device,
      name: "old-laptop",
      state: "revoked" as const,
      labels: [],
      lastSeenAt: NOW - 19 * DAY,
      revocation: receipt,
    };
    expect(deviceTable([device, { ...offline, runningTasks: 0, taskSlots: 1 }, revoked], COLUMNS, NOW)).toEqual([
      "NAME        STATE          SEEN   LABELS  TASKS  CERTIFICATE",
      "build-box   online         now    gpu     1/8    29 d",
      "pi-attic    offline        6 min  arm     0/1    29 d",
      "old-laptop  revoked 2 Nov  19 d           -      -",
    ]);
  });

  test("an expired certificate says that nothing is lost", () => {
    const [, line] = deviceTable([{ ...device, certificateNotAfter: NOW - DAY }], COLUMNS, NOW);
    expect(line).toContain("expired; renews when it returns");
  });

  test("tasks", () => {
    const unknown = { ...task, id: "01JD2Y7QK4M8N0P2R4T6V8X06K", definition: "exec", state: "unknown" as const };
    expect(taskTable([task, unknown], COLUMNS, NOW)).toEqual([
      "ID         DEFINITION    NODE  STATE                                       SINCE",
      "01JD…X08F  video.thumbs  nas   running 41 %                                3 min",
      "01JD…X06K  exec          nas   unknown since 11:57:00 (node out of reach…  3 min",
    ]);
    expect(stateText(unknown, NOW)).toBe("unknown since 11:57:00 (node out of reach, lease ends in 21 s)");
    expect(stateText({ ...task, state: "succeeded", finishedLate: true }, NOW)).toBe("succeeded, finished late");
  });

  test("pairing requests keep their whole id and, while they wait, their words", () => {
    const issued = { ...request, name: "n".repeat(64), state: "issued" as const };
    expect(requestTable([request, issued], COLUMNS, NOW)).toEqual([
      "REQUEST                     NAME                STATE    FROM              SINCE",
      "01JD2Y7QK4M8N0P2R4T6V8X0RQ  build-box           pending  192.0.2.57:40000  2 s",
      "  both screens must show:  anchor  maple  orbit  seven",
      "01JD2Y7QK4M8N0P2R4T6V8X0RQ  nnnnnnnnnnnnnnnnn…  issued   192.0.2.57:40000  2 s",
    ]);
  });

  test("no table is wider than the screen, whatever a peer calls itself, and control characters stay out of it", () => {
    const nasty = { ...device, name: `${"x".repeat(90)}\u001B[2J\u202E`, labels: ["l".repeat(90)] };
    for (const line of deviceTable([nasty], COLUMNS, NOW)) {
      expect(widthOf(line)).toBeLessThanOrEqual(COLUMNS);
      expect(line).not.toContain("\u001B");
    }
  });

  test("only elastic columns shrink, the widest first", () => {
    const head = [{ heading: "ID" }, { heading: "A", elastic: true }, { heading: "B", elastic: true, right: true }];
    expect(table(head, [["0123456789", "a".repeat(20), "bbb"]], 30)).toEqual([
      "ID          A                B",
      "0123456789  aaaaaaaaaaaa…  bbb",
    ]);
  });
});

describe("revocation", () => {
  test("says what it will cut before and what it cut after", () => {
    expect(blastRadius({ device, sessions: 1, runningTasks: 1, queuedTasks: 3 })).toBe(
      "This will cut 1 session of build-box, stop 1 running and 3 queued tasks.",
    );
    expect(receiptLines(receipt)).toEqual([
      "✓ old-laptop revoked at epoch 118",
      "  1 session closed in 2 ms, 1 attempt fenced, last event accepted 48 112",
      "  receipt 01JD2Y7QK4M8N0P2R4T6V8X0R3",
    ]);
    expect(receiptLines({ ...receipt, windowsClosed: ["01JDW1", "01JDW2"] })[2]).toBe(
      "  ended for everybody: 2 pairing codes used by what is revoked; window 01JDW1, 01JDW2",
    );
  });
});

test("of more revocations than nodes name, accepting a loss says how many nobody can", () => {
  const at = { era: 0, offset: 10, revocationEpoch: 3 };
  const revoked = Array.from({ length: 8 }, (_, index) => `01JDREVOKED${index}`);
  const behind = { device: "build-box", at: NOW, here: at, seen: { ...at, revocationEpoch: 14 }, revoked };
  const lines = lossLines(behind);
  expect(lines[2]).toContain("11 revocations");
  expect(lines.at(-1)).toContain("and 3 more of which nodes do not know whom");
  expect(lossLines({ ...behind, seen: { ...at, revocationEpoch: 11 } }).at(-1)).toContain(revoked[7]);
});

describe("a revocation of many", () => {
  const preview = { device, sessions: 2, runningTasks: 1, queuedTasks: 3 };

  test("names up to ten devices and counts the rest, with all that it will cut", () => {
    expect(blastRadiusOfMany([preview])).toEqual([
      "This will revoke 1 device: build-box.",
      "It cuts 2 sessions, stops 1 running and 3 queued tasks.",
    ]);
    const [who, what] = blastRadiusOfMany(Array.from({ length: 12 }, () => preview));
    expect(who).toMatch(/^This will revoke 12 devices: (build-box, ){9}build-box and 2 more\.$/u);
    expect(what).toBe("It cuts 24 sessions, stops 12 running and 36 queued tasks.");
  });

  test("gives a receipt for each, names who was left alone, and sums up", () => {
    const lines = bulkLines({ receipts: [receipt, { ...receipt, closedMs: 40 }], spared: ["01JDSPARED"] });
    expect(lines).toHaveLength(4);
    expect(lines[0]).toContain("old-laptop revoked at epoch 118, 1 sessions closed");
    expect(lines[2]).toBe("- 01JDSPARED changed meanwhile and was left alone");
    expect(lines[3]).toBe("2 revoked, 2 sessions closed, the slowest in 40 ms, 2 attempts fenced");
    const ended = bulkLines({ receipts: [{ ...receipt, windowsClosed: ["01JDW1"] }], spared: [] });
    expect(ended[2]).toBe("  ended for everybody: a pairing code used by what is revoked; window 01JDW1");
  });
});

describe("a rotation", () => {
  test.each([
    ["rotated", "✓ build-box uses a new certificate; its old ones are refused"],
    ["pending-offline", "… build-box is out of reach: pending, it renews when it connects"],
    ["pending-silent", "… build-box has not answered in time: pending, it is asked again with its next session"],
  ] as const)("that is %s says so", (state, line) => {
    expect(rotationLine(device, { state })).toBe(line);
  });
});

describe("progress", () => {
  const update: TaskUpdate = {
    state: "running",
    progress: 0.78,
    progressMessage: "312 of 400 files",
    log: undefined,
    task,
  };

  test("is a bar, a share, what the task says and how long it may take", () => {
    expect(progressLine({ ...update, progress: 0.5 }, NOW, COLUMNS)).toBe(
      "  ███████████████░░░░░░░░░░░░░░░  50 %  312 of 400 files  eta 3 min",
    );
    expect(progressLine({ ...update, progressMessage: "x".repeat(200) }, NOW, COLUMNS)).toHaveLength(COLUMNS - 1);
  });

  test("is redrawn in place on a terminal, and what is printed goes above it", () => {
    const { terminal, stderr } = fakeTerminal({ isTTY: true, columns: COLUMNS, env: { TERM: "xterm" } });
    using live = new LiveLines(terminal);
    live.show(["50 %"]);
    live.show(["50 %"]);
    live.print("a log line");
    live.show(["60 %"]);
    live.clear();
    expect(stderr.text).toBe("50 %\n\u001B[1A\u001B[0Ja log line\n50 %\n\u001B[1A\u001B[0J60 %\n\u001B[1A\u001B[0J");
  });

  test("stays out of a pipe", () => {
    const { terminal, stderr } = fakeTerminal();
    using live = new LiveLines(terminal);
    live.show(["50 %"]);
    live.print("a log line");
    expect(stderr.text).toBe("a log line\n");
  });
});

describe("errors", () => {
  const error = new CliError("STATE_MISSING", "there is no gateway state directory at /tmp/x", {
    hint: "Name the right one with --state DIR, or make it with:  quaymesh gateway run --state /tmp/x",
  });

  test("have a cause, what to do and a code, and read without colour", () => {
    const { terminal, stderr } = fakeTerminal();
    expect(reportError(terminal, error, { json: false, debug: false })).toBe(30);
    expect(stderr.text.split("\n")).toEqual([
      "✗ There is no gateway state directory at /tmp/x.",
      "  Name the right one with --state DIR, or make it with:",
      "    quaymesh gateway run --state /tmp/x",
      "  (STATE_MISSING, exit 30)",
      "",
    ]);
  });

  test("show the causes below them once each, and a stack only when asked", () => {
    const wrapped = new Error("could not open the outbox", { cause: new Error("EIO: i/o error") });
    const plain = fakeTerminal();
    reportError(plain.terminal, wrapped, { json: false, debug: false });
    expect(plain.stderr.text).toContain("  EIO: i/o error\n");
    expect(plain.stderr.text).not.toContain("at ");
    const debug = fakeTerminal();
    reportError(debug.terminal, wrapped, { json: false, debug: true });
    expect(debug.stderr.text).toMatch(/\n\s+at /u);
  });

  test("colour is for terminals, and NO_COLOR turns it off", () => {
    const said = (screen: Parameters<typeof fakeTerminal>[0]): string => {
      const { terminal, stderr } = fakeTerminal(screen);
      reportError(terminal, error, { json: false, debug: false });
      return stderr.text;
    };
    expect(said({ isTTY: true })).toContain("\u001B[31m✗\u001B[39m");
    expect(said({ isTTY: true, env: { NO_COLOR: "1" } })).not.toContain("\u001B");
    expect(said({ isTTY: false })).not.toContain("\u001B");
  });

  test("lines break at spaces; what is to be copied stays whole", () => {
    expect(wrap("one two three", 9)).toEqual(["one two", "three"]);
    expect(wrap(`see ${"x".repeat(20)} there`, 10)).toEqual(["see", "x".repeat(20), "there"]);
  });
});

describe("numbers for people", () => {
  test.each([
    [0.4, "0.40 ms"],
    [2.04, "2 ms"],
    [640, "0.6 s"],
    [2000, "2 s"],
    [12_300, "12 s"],
    [3 * MINUTE, "3 min"],
    [5 * 60 * MINUTE, "5 h"],
    [29.9 * DAY, "29 d"],
  ])("%d ms is %s", (ms, text) => expect(span(ms)).toBe(text));

  test("counts, sizes, clocks, ids, fingerprints", () => {
    expect([count(48_112), count(999), count(1_234_567n)]).toEqual(["48 112", "999", "1 234 567"]);
    expect([size(512), size(848_259), size(41_000_000)]).toEqual(["512 bytes", "848.3 kB", "41 MB"]);
    expect([clock(298_000), clock(0), clock(61_500)]).toEqual(["4:58", "0:00", "1:02"]);
    expect([shortId("01JD2Y7QK4M8N0P2R4T6V8X08F"), shortId("short")]).toEqual(["01JD…X08F", "short"]);
    expect(shortFingerprint("9f2c".repeat(16))).toBe("9f:2c:9f:…:2c:9f:2c");
    expect([fit("abcdef", 4), fit("abc", 4)]).toEqual(["abc…", "abc"]);
    expect(printable("a\u0007b\u202Ec")).toBe("a\uFFFDb\uFFFDc");
    // Nothing that does not show, breaks lines, or stacks up into the lines around.
    expect(printable("harbor\u200B\u2028\u{E0041}")).toBe("harbor\uFFFD\uFFFD\uFFFD");
    expect(printable(`z${"\u0301".repeat(60)}e\u0301`)).toBe(`z${"\u0301".repeat(4)}e\u0301`);
  });
});
