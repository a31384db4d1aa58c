import { expect, it } from "vitest";
import { ThrottleNotice } from "../src/events/throttle-notice.ts";
import { NodeLog } from "../src/node-log.ts";

it("a gateway that takes no events is told of once, with its reason, and once when it takes them again", () => {
  let now = 1000;
  let changes = 0;
  const lines: string[] = [];
  const notice = new ThrottleNotice({
    log: new NodeLog(({ level, event }) => lines.push(`${level} ${event}`)),
    now: () => now,
    onChange: () => (changes += 1),
  });
  notice.heard(undefined);
  expect([notice.state, changes]).toEqual([undefined, 0]);
  notice.heard({ reason: "quota", retryAfterMs: 500 });
  now += 100;
  // Of what was on its way before: the gateway takes no more for that.
  notice.heard(undefined);
  notice.heard({ reason: "quota", retryAfterMs: 500 });
  expect(notice.state).toEqual({ reason: "quota", since: 1000, until: 1600 });
  expect(lines).toEqual(["warn publish.throttled"]);
  now += 500;
  notice.heard(undefined);
  expect([notice.state, changes]).toEqual([undefined, 3]);
  notice.heard({ reason: "a reason of tomorrow", retryAfterMs: 1 });
  expect(lines).toEqual(["warn publish.throttled", "info publish.resumed", "warn publish.throttled"]);
});
