import { QUIC_ERRORS } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { Logger } from "../../src/logger.ts";
import { RefusalLog, summarizeRefusals } from "../../src/observe/refusal-log.ts";
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

const from = (host: string) => ({ host, port: 40_000 });

function openRefusals() {
  const { lines, logger } = openLog();
  const clock = new FakeClock();
  return { lines, clock, refusals: new RefusalLog(logger, clock) };
}

test("a refused device shows with the node's own word and code, the name both have for the attempt, and what the lookup said; who is let in does not", () => {
  const { lines, refusals } = openRefusals();
  const trust: GatewayTrust = new FakeTrust();
  trust.load({
    revocationEpoch: 1,
    devices: [
      { kind: "revoked", deviceId: "sold" },
      { kind: "enrolled", deviceId: "good", certificates: [{ serial: "serial", spkiSha256: new Uint8Array(32) }] },
    ],
  });
  const authorize = refusals.authorizing(trust);
  expect(authorize(peer("good"))).toEqual({ kind: "accept" });
  expect(lines).toEqual([]);
  expect(authorize(peer("sold"))).toEqual({ kind: "refuse", reason: "revoked" });
  refusals.refused({ reason: "revoked", remoteAddress: from("192.0.2.7"), attempt: "a1" });
  // Of another client, whom nobody looked up.
  refusals.refused({ reason: "half-open", remoteAddress: from("192.0.2.8"), attempt: "b2" });
  expect(lines.map(({ level, fields }) => ({ level, fields }))).toEqual([
    {
      level: "warn",
      fields: {
        verdict: "revoked",
        code: "DEVICE_REVOKED",
        reason: "revoked",
        remote: "192.0.2.7:40000",
        attempt: "a1",
        device: "sold",
        detail: "revoked",
      },
    },
    {
      level: "warn",
      fields: {
        verdict: "busy",
        code: "GATEWAY_BUSY",
        reason: "half-open",
        remote: "192.0.2.8:40000",
        attempt: "b2",
        device: undefined,
        detail: undefined,
      },
    },
  ]);
  expect(refusals.recent().map(({ attempt }) => attempt)).toEqual(["a1", "b2"]);
});

test("where the node refused the gateway, the node's verdict is what the log says", () => {
  const { lines, refusals } = openRefusals();
  const close = { kind: "transport", code: QUIC_ERRORS.unknownCa, reason: "", byPeer: true } as const;
  refusals.refused({ reason: "handshake", remoteAddress: from("192.0.2.7"), close });
  expect(lines[0]?.fields).toMatchObject({ verdict: "untrusted", detail: "the node refused this gateway" });
});

test("one that knocks without end shows ten times a minute, and a flood of strangers sixty times in all, with room for a device", () => {
  const { lines, clock, refusals } = openRefusals();
  const flood = () => {
    for (let index = 0; index < 1000; index++) {
      refusals.refused({ reason: "busy", remoteAddress: from(`192.0.${index % 250}.7`) });
    }
  };
  for (let index = 0; index < 100; index++) refusals.refused({ reason: "untrusted", remoteAddress: from("::1") });
  expect(lines).toHaveLength(10);
  flood();
  expect(lines).toHaveLength(60);
  const trust = new FakeTrust();
  trust.load({ revocationEpoch: 1, devices: [{ kind: "revoked", deviceId: "sold" }] });
  refusals.authorizing(trust)(peer("sold"));
  refusals.refused({ reason: "revoked", remoteAddress: from("192.0.2.7") });
  expect(lines).toHaveLength(61);
  // The flood pushed nothing of another kind out of what is kept.
  expect(refusals.recent().filter(({ verdict }) => verdict !== "busy")).toHaveLength(11);
  expect(refusals.recent()).toHaveLength(27);
  clock.advance(MINUTE);
  flood();
  expect(lines).toHaveLength(121);
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
