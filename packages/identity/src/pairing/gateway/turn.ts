import type { PairingCode } from "../../errors.ts";
import type { Budget } from "./budget.ts";
import type { CodeEnd, GatewayPairingEffect, RequestEnd } from "./port.ts";
import type { Attempt, Code, GatewayPairing, GatewayPairingConfig, PairingRequest } from "./state.ts";

/** One step in the making: copies of the state's maps that may be written, and the effects so far. It never outlives its step. */
export class Turn {
  readonly now: number;
  readonly config: GatewayPairingConfig;
  readonly codes: Map<string, Code>;
  readonly attempts: Map<string, Attempt>;
  readonly requests: Map<string, PairingRequest>;
  readonly effects: GatewayPairingEffect[] = [];
  budget: Budget;

  constructor(state: GatewayPairing, now: number) {
    this.now = now;
    this.config = state.config;
    this.codes = new Map(state.codes);
    this.attempts = new Map(state.attempts);
    this.requests = new Map(state.requests);
    this.budget = state.budget;
  }

  /** The state after this step. */
  finish(): GatewayPairing {
    const { config, codes, attempts, requests, budget } = this;
    return { config, codes, attempts, requests, budget };
  }

  /** End an attempt with an answer. */
  failAttempt(attemptId: string, code: PairingCode, message: string, retryAfterMs?: number): void {
    this.attempts.delete(attemptId);
    this.effects.push({ kind: "fail", attemptId, code, message, retryAfterMs });
  }

  /** End a window. */
  endCode(windowId: string, reason: CodeEnd): void {
    const code = this.codes.get(windowId);
    if (code === undefined) return;
    this.codes.delete(windowId);
    this.effects.push({ kind: "code-ended", windowId, reason, code: code.secret });
  }

  /** Give a claimed code back, so that the device or another may try; what has run out meanwhile ends. */
  releaseCode(attemptId: string, windowId: string | undefined): void {
    const code = windowId === undefined ? undefined : this.codes.get(windowId);
    if (code?.status.kind !== "claimed" || code.status.attemptId !== attemptId) return;
    if (this.now >= code.expiresAt) this.endCode(code.windowId, "expired");
    else this.codes.set(code.windowId, { ...code, status: { kind: "open" } });
  }

  /** End a request; the stream that waits for it is told `failure`, if any. */
  endRequest(
    request: PairingRequest,
    outcome: RequestEnd,
    failure?: { readonly code: PairingCode; readonly message: string },
  ): void {
    this.requests.delete(request.requestId);
    if (request.attemptId !== undefined) {
      if (failure === undefined) this.attempts.delete(request.attemptId);
      else this.failAttempt(request.attemptId, failure.code, failure.message);
    }
    this.effects.push({ kind: "request-ended", requestId: request.requestId, outcome });
  }
}
