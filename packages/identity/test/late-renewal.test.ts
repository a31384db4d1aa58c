import * as fc from "fast-check";
import {
  gatewayPairingDeadline,
  isPairingOpen,
  type GatewayPairingEffect,
  type RenewalFinding,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { bytesOf, GATEWAY_KEY, GatewayRoom, knock, NodeRoom, ticketCode } from "./pairing-room.ts";
import { DEVICE_ID, NOW } from "./support.ts";

const DAY = 86_400_000;
const KEY = bytesOf("enrolled key", 32);
const CSR = new TextEncoder().encode("a request");
const RENEWED = { type: "renewed" as const, chain: [bytesOf("leaf", 40)], renewAfter: NOW + DAY, time: NOW };

function ask(gateway: GatewayRoom, attemptId = "late", source = "192.0.2.1"): GatewayPairingEffect[] {
  const peer = { source, nodeSpkiSha256: KEY, gatewaySpkiSha256: GATEWAY_KEY };
  return gateway.step({ kind: "renew", attemptId, csr: CSR, peer });
}

const found = (notAfter: number, spkiSha256 = KEY): RenewalFinding => ({
  kind: "device",
  deviceId: DEVICE_ID,
  spkiSha256,
  notAfter,
});

function answered(finding: RenewalFinding, gateway = new GatewayRoom()): GatewayPairingEffect[] {
  ask(gateway);
  return gateway.step({ kind: "renewal-inspected", attemptId: "late", finding });
}

describe("a late renewal", () => {
  test("needs no window, is looked up, issued, answered and over; it costs its source nothing", () => {
    const gateway = new GatewayRoom();
    expect(ask(gateway)).toEqual([{ kind: "inspect-renewal", attemptId: "late", csr: CSR, spkiSha256: KEY }]);
    expect(isPairingOpen(gateway.state)).toBe(true);
    expect(gateway.step({ kind: "renewal-inspected", attemptId: "late", finding: found(NOW - 1) })).toEqual([
      { kind: "renew", attemptId: "late", deviceId: DEVICE_ID, csr: CSR, spkiSha256: KEY },
    ]);
    expect(gateway.step({ kind: "renewal-issued", attemptId: "late", renewed: RENEWED })).toEqual([
      { kind: "finish", attemptId: "late", message: RENEWED },
    ]);
    expect(isPairingOpen(gateway.state)).toBe(false);
    expect(gateway.state.budget.sources.get("192.0.2.1")?.tokens).toBe(3);
  });

  test.each<[string, RenewalFinding, string]>([
    ["of a key nobody enrolled", { kind: "unknown" }, "DEVICE_UNKNOWN"],
    ["of a revoked device", { kind: "revoked" }, "DEVICE_REVOKED"],
    ["of a frozen device", { kind: "frozen" }, "DEVICE_FROZEN"],
    ["with a broken request", { kind: "invalid", detail: "not signed" }, "PAIR_CSR_INVALID"],
    ["for another key", found(NOW - 1, bytesOf("another key", 32)), "PAIR_KEY_MISMATCH"],
    ["a millisecond after 180 days", found(NOW - 180 * DAY - 1), "RENEW_TOO_LATE"],
  ])("%s is refused", (_what, finding, code) => {
    expect(answered(finding)).toMatchObject([{ kind: "fail", attemptId: "late", code }]);
  });

  test.each([
    ["after 180 days to the millisecond", NOW - 180 * DAY],
    ["before the end", NOW + DAY],
  ])("%s is granted", (_what, notAfter) => {
    expect(answered(found(notAfter))).toMatchObject([{ kind: "renew" }]);
  });

  test("that lost a race with a revocation says so, and one that could not be issued that the gateway is at fault", () => {
    for (const [revoked, code] of [
      [true, "DEVICE_REVOKED"],
      [false, "PAIR_UNAVAILABLE"],
    ] as const) {
      const gateway = new GatewayRoom();
      answered(found(NOW), gateway);
      expect(gateway.step({ kind: "renewal-failed", attemptId: "late", revoked })).toMatchObject([
        { kind: "fail", code },
      ]);
    }
  });

  test("is no use for guessing: refusals pay with the source's tokens, and it pairs nobody", () => {
    const gateway = new GatewayRoom();
    for (let at = 0; at < 3; at++) {
      ask(gateway);
      gateway.step({ kind: "renewal-inspected", attemptId: "late", finding: { kind: "unknown" } });
    }
    expect(ask(gateway)).toMatchObject([{ kind: "fail", code: "PAIR_RATE_LIMITED", retryAfterMs: 900_000 }]);
    expect(ask(gateway, "other", "192.0.2.2")).toMatchObject([{ kind: "inspect-renewal" }]);
    expect(knock(gateway, new NodeRoom(ticketCode()), "192.0.2.3")).toBe("PAIR_CLOSED");
  });

  test("takes one of the half-open places, ends in time, and leaves nothing behind when its stream ends", () => {
    const gateway = new GatewayRoom({ limits: { halfOpen: 1 } });
    ask(gateway);
    expect(ask(gateway, "second", "192.0.2.2")).toMatchObject([{ code: "PAIR_RATE_LIMITED" }]);
    expect(gatewayPairingDeadline(gateway.state)).toBe(NOW + 20_000);
    gateway.now += 20_000;
    expect(gateway.step({ kind: "tick" })).toMatchObject([{ kind: "fail", code: "PAIR_UNAVAILABLE" }]);
    ask(gateway, "third", "192.0.2.3");
    gateway.step({ kind: "gone", attemptId: "third" });
    expect(gateway.state.attempts.size).toBe(0);
    expect(gateway.step({ kind: "renewal-inspected", attemptId: "third", finding: found(NOW) })).toEqual([]);
  });
});

const FINDINGS: readonly RenewalFinding[] = [
  { kind: "unknown" },
  { kind: "revoked" },
  { kind: "invalid", detail: "" },
  found(NOW),
  found(NOW - 179 * DAY),
  found(NOW, bytesOf("another key", 32)),
];
const action = fc.record({
  kind: fc.constantFrom("renew", "inspected", "issued", "failed", "gone", "hello", "prove", "done", "wait"),
  which: fc.nat(4),
  finding: fc.constantFrom(...FINDINGS),
  ms: fc.constantFrom(1, 19_999, 20_000, DAY),
});

test("whatever comes in whatever order, each request ends once, is issued once, and only where the enrolled key asked in time", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (steps) => {
      const gateway = new GatewayRoom({ limits: { halfOpen: 3, sourceBurst: 1000 } });
      let begun = 0;
      const granted = new Map<string, boolean>();
      for (const { kind, which, finding, ms } of steps) {
        const attemptId = `${Math.max(0, begun - 1 - which)}`;
        if (kind === "renew") ask(gateway, `${begun++}`);
        if (kind === "inspected") {
          const before = gateway.state.attempts.get(attemptId)?.kind;
          const inTime = finding.kind === "device" && gateway.now - finding.notAfter <= 180 * DAY;
          const sameKey = finding.kind === "device" && finding.spkiSha256 === KEY;
          // The step itself may find that the attempt's time is up.
          if (before === "looking-up") granted.set(attemptId, inTime && sameKey);
          gateway.step({ kind: "renewal-inspected", attemptId, finding });
        }
        if (kind === "issued") gateway.step({ kind: "renewal-issued", attemptId, renewed: RENEWED });
        if (kind === "failed") gateway.step({ kind: "renewal-failed", attemptId, revoked: which === 0 });
        if (kind === "gone" || kind === "done") gateway.step({ kind, attemptId });
        if (kind === "prove")
          gateway.step({ kind, attemptId, prove: { type: "prove", mac: bytesOf("m", 64), csr: CSR } });
        if (kind === "hello") knock(gateway, new NodeRoom(ticketCode(), { attemptId: `hello ${begun++}` }));
        if (kind === "wait") gateway.now += ms;
        const halfOpen = [...gateway.state.attempts.values()].filter((attempt) => attempt.kind !== "waiting");
        expect(halfOpen.length).toBeLessThanOrEqual(3);
      }
      const ended = new Map<string, number>();
      const issued = new Map<string, number>();
      for (const effect of gateway.effects) {
        if (effect.kind === "fail" || effect.kind === "finish") {
          ended.set(effect.attemptId, (ended.get(effect.attemptId) ?? 0) + 1);
          if (effect.kind === "finish") expect(issued.get(effect.attemptId)).toBe(1);
        }
        if (effect.kind === "renew") {
          expect(ended.has(effect.attemptId)).toBe(false);
          expect(granted.get(effect.attemptId)).toBe(true);
          issued.set(effect.attemptId, (issued.get(effect.attemptId) ?? 0) + 1);
        }
      }
      for (const count of [...ended.values(), ...issued.values()]) expect(count).toBe(1);
      expect(gateway.ofKind("persist").length + gateway.ofKind("issue").length + gateway.ofKind("ask").length).toBe(0);
    }),
    { numRuns: 200 },
  );
});
