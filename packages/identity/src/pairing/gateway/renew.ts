/** Late renewal: a device that slept past its certificate asks on the pairing endpoint, with its enrolled key, and gets a renewal and nothing else. docs/wire.md, "Late renewal". */
import { timingSafeEqualBytes } from "../../bytes.ts";
import type { PairingCode } from "../../errors.ts";
import { DAY_MS } from "../limits.ts";
import { chargeSource, refundSource, sourceWaitMs } from "./budget.ts";
import { crowdingWaitMs } from "./hello.ts";
import type { GatewayPairingInput, RenewalFinding } from "./port.ts";
import type { Turn } from "./turn.ts";

type Input<K extends GatewayPairingInput["kind"]> = Extract<GatewayPairingInput, { kind: K }>;

/** Asked for a renewal. It needs no window, but it pays like any attempt, and takes one of their places: asking has work done. */
export function onRenew(turn: Turn, { attemptId, csr, peer }: Input<"renew">): void {
  const { limits } = turn.config;
  const waitMs = crowdingWaitMs(turn) || sourceWaitMs(turn.budget, limits, peer.source, turn.now);
  if (waitMs > 0) {
    turn.failAttempt(attemptId, "PAIR_RATE_LIMITED", "too many attempts; try again later", waitMs);
    return;
  }
  turn.budget = chargeSource(turn.budget, limits, peer.source, turn.now);
  const deadline = turn.now + limits.proofMs;
  turn.attempts.set(attemptId, { kind: "looking-up", attemptId, peer, csr, deadline, windowId: undefined });
  turn.effects.push({ kind: "inspect-renewal", attemptId, csr, spkiSha256: peer.nodeSpkiSha256 });
}

/** The shell knows whose key it is. */
export function onRenewalInspected(turn: Turn, { attemptId, finding }: Input<"renewal-inspected">): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "looking-up") return;
  const verdict = judge(turn, finding, attempt.peer.nodeSpkiSha256);
  if (verdict.kind === "refuse") {
    turn.failAttempt(attemptId, verdict.code, verdict.message);
    return;
  }
  const { deviceId } = verdict;
  turn.attempts.set(attemptId, { ...attempt, kind: "renewing", deviceId });
  const spkiSha256 = attempt.peer.nodeSpkiSha256;
  turn.effects.push({ kind: "renew", attemptId, deviceId, csr: attempt.csr, spkiSha256 });
}

/** The certificate is committed. */
export function onRenewalIssued(turn: Turn, { attemptId, renewed }: Input<"renewal-issued">): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "renewing") return;
  turn.attempts.delete(attemptId);
  turn.budget = refundSource(turn.budget, turn.config.limits, attempt.peer.source, turn.now);
  turn.effects.push({ kind: "finish", attemptId, message: renewed });
}

/** It is not, and nothing was let out. */
export function onRenewalFailed(turn: Turn, { attemptId, revoked }: Input<"renewal-failed">): void {
  if (turn.attempts.get(attemptId)?.kind !== "renewing") return;
  if (revoked) turn.failAttempt(attemptId, "DEVICE_REVOKED", REVOKED);
  else turn.failAttempt(attemptId, "PAIR_UNAVAILABLE", "the gateway could not issue a certificate");
}

const REVOKED = "this device was revoked";

type Verdict =
  | { readonly kind: "grant"; readonly deviceId: string }
  | { readonly kind: "refuse"; readonly code: PairingCode; readonly message: string };

function judge(turn: Turn, finding: RenewalFinding, shown: Uint8Array): Verdict {
  switch (finding.kind) {
    case "unknown":
      return { kind: "refuse", code: "DEVICE_UNKNOWN", message: "no device has this key: pair this one again" };
    case "revoked":
      return { kind: "refuse", code: "DEVICE_REVOKED", message: REVOKED };
    case "frozen":
      return { kind: "refuse", code: "DEVICE_FROZEN", message: "this device is frozen until an operator has decided" };
    case "invalid":
      return { kind: "refuse", code: "PAIR_CSR_INVALID", message: finding.detail };
    case "device": {
      if (!timingSafeEqualBytes(finding.spkiSha256, shown)) {
        return {
          kind: "refuse",
          code: "PAIR_KEY_MISMATCH",
          message: "the request is for another key than the connection's",
        };
      }
      const lateMs = turn.now - finding.notAfter;
      const { lateRenewalMs } = turn.config.limits;
      if (lateMs > lateRenewalMs) {
        const [late, most] = [lateMs, lateRenewalMs].map((ms) => Math.floor(ms / DAY_MS));
        const message = `the certificate ran out ${late} days ago, and is renewed for ${most}: pair this device again`;
        return { kind: "refuse", code: "RENEW_TOO_LATE", message };
      }
      return { kind: "grant", deviceId: finding.deviceId };
    }
    default:
      return finding satisfies never;
  }
}
