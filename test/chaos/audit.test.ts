import { beforeEach, describe, expect, it } from "vitest";
import { Audit, type LogRow } from "./audit.ts";
import { bodyOf, CHAOS_KIND, type EventName } from "./events.ts";

const DEVICE = "01JD8Q3V5K7M9P1R3T00000000";
const EPOCH = "AB".repeat(16);

let audit: Audit;
let offset = 0;
beforeEach(() => {
  audit = new Audit();
  offset = 0;
});

const name = (n: number, writer = 0): EventName => ({ run: 1, writer, n });
const row = (of: EventName, seq: number, more: Partial<LogRow> = {}): LogRow => ({
  offset: ++offset,
  device: DEVICE,
  epoch: EPOCH,
  seq,
  kind: CHAOS_KIND,
  data: bodyOf(of),
  ...more,
});
const rules = (): readonly string[] => audit.violations.map(({ rule }) => rule);

/** The log, and a reader that gives what is in it. */
function logAndRead(...rows: LogRow[]): void {
  audit.log(rows);
  for (const { offset: at, device, seq, data } of rows) audit.read({ offset: at, device, seq, bytes: data.length });
}

describe("an audit", () => {
  it("finds nothing where everything that was recorded is there, once and in order", () => {
    audit.published(name(1), 1);
    audit.published(name(2), 2);
    logAndRead(row(name(1), 1), row(name(2), 2));
    audit.settled();
    expect(rules()).toEqual([]);
  });

  it("lets the one event be there whose publish a kill left open, and finds any beyond it invented", () => {
    audit.published(name(1), 1);
    logAndRead(row(name(1), 1), row(name(2), 2));
    expect(rules()).toEqual([]);
    logAndRead(row(name(4), 3));
    expect(rules()).toEqual(["invented"]);
  });

  it("finds what was recorded and is not in the log, once", () => {
    audit.published(name(1), 1);
    audit.settled();
    audit.settled();
    expect(rules()).toEqual(["lost"]);
  });

  it("finds what is in the log twice", () => {
    audit.published(name(1), 1);
    logAndRead(row(name(1), 1), row(name(1), 2));
    expect(rules()).toEqual(["duplicated"]);
  });

  it("finds two events of a writer that changed places", () => {
    audit.published(name(1), 1);
    audit.published(name(2), 2);
    logAndRead(row(name(2), 1), row(name(1), 2));
    expect(new Set(rules())).toEqual(new Set(["reordered"]));
  });

  it("finds a sequence left out, whoever's event it had", () => {
    audit.published(name(1), 1);
    audit.published(name(1, 1), 3);
    logAndRead(row(name(1), 1), row(name(1, 1), 3));
    expect(rules()).toEqual(["reordered"]);
  });

  it("finds a body that is not what was published", () => {
    audit.published(name(1), 1);
    const body = bodyOf(name(1)).slice();
    const last = body.length - 1;
    body[last] = (body[last] ?? 0) ^ 1;
    logAndRead(row(name(1), 1, { data: body }));
    expect(rules()).toEqual(["altered"]);
  });

  it("finds an event in the log whose publish was refused", () => {
    audit.refused(name(1));
    logAndRead(row(name(1), 1));
    expect(rules()).toEqual(["refused-yet-recorded"]);
  });

  it("finds a device whose events go on under another epoch", () => {
    logAndRead(row(name(1), 1), row(name(1, 1), 1, { epoch: "CD".repeat(16) }));
    expect(rules()).toEqual(["renumbered"]);
  });

  it("finds a gap in the offsets", () => {
    logAndRead(row(name(1), 1));
    offset += 1;
    logAndRead(row(name(2, 0), 2));
    expect(rules()).toContain("offset-gap");
  });

  it("lets its reader be ahead of the last look at the log", () => {
    const [first, second] = [row(name(1), 1), row(name(1, 1), 2)];
    for (const { offset: at, device, seq, data } of [first, second]) {
      audit.read({ offset: at, device, seq, bytes: data.length });
    }
    audit.log([first]);
    audit.settled();
    audit.log([second]);
    audit.settled();
    expect(rules()).toEqual([]);
  });

  it.each([
    ["left out", (given: LogRow[]) => given.slice(1)],
    ["given twice", (given: LogRow[]) => [...given.slice(0, 1), ...given]],
    ["given out of order", (given: LogRow[]) => given.toReversed()],
  ])("finds what its reader was %s", (_how, change) => {
    const rows = [row(name(1), 1), row(name(1, 1), 2)];
    audit.log(rows);
    for (const { offset: at, device, seq, data } of change(rows)) {
      audit.read({ offset: at, device, seq, bytes: data.length });
    }
    audit.settled();
    expect(rules()).toContain("read-wrong");
  });
});
