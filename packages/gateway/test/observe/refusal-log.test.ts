import { expect, test } from "vitest";
import type { Logger } from "../../src/logger.ts";
import { loggedAuthorize, summarizeRefusals } from "../../src/observe/refusal-log.ts";
import type { GatewayTrust } from "../../src/trust.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeTrust } from "../support/fake-trust.ts";

const MINUTE = 60_000;

function openLog() {
  const lines: { readonly level: string; readonly fields: unknown; readonly message: string }[] = [];
  const at = (level: string) => (fields: unknown, message: string) => void lines.push({ level, fields, message });
  const logger: Logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { lines, logger };
}

const peer = (deviceId: string) => ({
  chain: [new TextEncoder().encode(`${deviceId}/serial`)],
  spkiSha256: new Uint8Array(32),
});

test("a revoked device that knocks shows once a minute, and is refused each time; who is let in does not show", () => {
  const { lines, logger } = openLog();
  const clock = new FakeClock();
  const trust: GatewayTrust = new FakeTrust();
  trust.load({
    revocationEpoch: 1,
    devices: [
      { kind: "revoked", deviceId: "sold" },
      { kind: "enrolled", deviceId: "good", certificates: [{ serial: "serial", spkiSha256: new Uint8Array(32) }] },
    ],
  });
  const authorize = loggedAuthorize(trust, logger, clock);
  expect(authorize(peer("good"))).toEqual({ kind: "accept" });
  expect(lines).toEqual([]);
  for (let index = 0; index < 100; index++) {
    expect(authorize(peer("sold"))).toEqual({ kind: "refuse", reason: "revoked" });
  }
  expect(authorize(peer("stranger"))).toEqual({ kind: "refuse", reason: "unknown" });
  expect(lines.map(({ fields }) => fields)).toEqual([
    { device: "sold", reason: "revoked", detail: "revoked" },
    { device: undefined, reason: "unknown", detail: "not enrolled" },
  ]);
  clock.advance(MINUTE);
  authorize(peer("sold"));
  expect(lines).toHaveLength(3);
});

test("a minute's refusals are summed up by reason, and a quiet minute is not told of", () => {
  const { lines, logger } = openLog();
  const clock = new FakeClock();
  const over = new AbortController();
  let refused: Record<string, number> = { shape: 5 };
  let cut: Record<string, number> = {};
  summarizeRefusals(() => ({ refused, cut }), { logger, clock, signal: over.signal });
  clock.advance(MINUTE);
  expect(lines).toEqual([]);
  refused = { shape: 5, busy: 2 };
  cut = { idle: 1 };
  clock.advance(MINUTE);
  expect(lines.map(({ level, fields }) => ({ level, fields }))).toEqual([
    { level: "info", fields: { refused: { busy: 2 }, cut: { idle: 1 }, overMs: MINUTE } },
  ]);
  clock.advance(5 * MINUTE);
  expect(lines).toHaveLength(1);
  over.abort();
  refused = { busy: 99 };
  clock.advance(MINUTE);
  expect(lines).toHaveLength(1);
});
