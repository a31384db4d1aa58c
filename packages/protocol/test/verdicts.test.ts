import { describe, expect, it } from "vitest";
import {
  dialVerdict,
  LISTENER_REFUSALS,
  planRedial,
  QUIC_ERRORS,
  REFUSAL_CODES,
  VERDICTS,
  verdictOfRefusal,
  type RefusalReason,
} from "../src/index.ts";

const REASONS = Object.keys(REFUSAL_CODES) as RefusalReason[];

describe("the verdict on an attempt", () => {
  it.each(REASONS)("is the same word at the node and at the gateway that judged it: %s", (reason) => {
    const heard = dialVerdict({ kind: "transport", code: REFUSAL_CODES[reason], reason, byPeer: true });
    expect(heard).toBe(reason);
    expect(verdictOfRefusal({ reason })).toBe(heard);
  });

  it("is busy wherever the client is told that there is no room", () => {
    const busy = LISTENER_REFUSALS.filter((reason) => verdictOfRefusal({ reason }) === "busy");
    expect(busy).toEqual(["budget", "half-open", "busy", "displaced"]);
  });

  it("is the client's own where the client refused, whatever the listener counts it as", () => {
    const close = { kind: "transport", code: QUIC_ERRORS.certificateExpired, reason: "", byPeer: true } as const;
    expect(verdictOfRefusal({ reason: "handshake", close })).toBe("expired");
    expect(verdictOfRefusal({ reason: "handshake", close: { ...close, byPeer: false } })).toBe("other");
  });

  it("says frozen only by its phrase: a gateway that gives none says denied, and a node of before reads denied", () => {
    const close = { kind: "transport", code: QUIC_ERRORS.accessDenied, byPeer: true } as const;
    expect(dialVerdict({ ...close, reason: "frozen" })).toBe("frozen");
    expect(dialVerdict({ ...close, reason: "" })).toBe("denied");
    // Whoever is frozen does not come back each second.
    expect(planRedial("frozen", 1, 0)).toEqual({ kind: "retry", afterMs: 60_000 });
  });

  it("has a sentence and something to do for both ends, each fit for a terminal", () => {
    for (const { code, says, fix, operator } of Object.values(VERDICTS)) {
      expect(code).toMatch(/^[A-Z_]+$/u);
      for (const text of [says, fix, operator]) expect(text.length).toBeGreaterThan(10);
    }
  });
});
