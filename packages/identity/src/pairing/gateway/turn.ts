import type { PairingCode } from "../../errors.ts";
import type { Budget } from "./budget.ts";
import type { CodeEnd, GatewayPairingEffect, RequestEnd } from "./port.ts";
import type { Attempt, Code, GatewayPairing, GatewayPairingConfig, PairingRequest, PairingWindow } from "./state.ts";

/** One step in the making: copies of the state's maps that may be written, and the effects so far. It never outlives its step. */
export class Turn {
  readonly now: number;
  readonly config: GatewayPairingConfig;
  readonly windows: Map<string, PairingWindow>;
  readonly attempts: Map<string, Attempt>;
  readonly requests: Map<string, PairingRequest>;
  readonly effects: GatewayPairingEffect[] = [];
  budget: Budget;

  constructor(state: GatewayPairing, now: number) {
    this.now = now;
    this.config = state.config;
    this.windows = new Map(state.windows);
    this.attempts = new Map(state.attempts);
    this.requests = new Map(state.requests);
    this.budget = state.budget;
  }

  /** The state after this step. */
  finish(): GatewayPairing {
    const { config, windows, attempts, requests, budget } = this;
    return { config, windows, attempts, requests, budget };
  }

  /** End an attempt with an answer. */
  failAttempt(attemptId: string, code: PairingCode, message: string, retryAfterMs?: number): void {
    this.attempts.delete(attemptId);
    this.effects.push({ kind: "fail", attemptId, code, message, retryAfterMs });
  }

  /** The window of an attempt or a request, while it is there. */
  window(windowId: string | undefined): PairingWindow | undefined {
    return windowId === undefined ? undefined : this.windows.get(windowId);
  }

  /** End a window. */
  endWindow(windowId: string, reason: CodeEnd): void {
    const window = this.windows.get(windowId);
    if (window === undefined) return;
    this.windows.delete(windowId);
    for (const { secret } of window.codes) this.#endCode(windowId, reason, secret);
    this.effects.push({ kind: "window-ended", windowId, reason });
  }

  /** Burn one of a window's codes; the last one burns the window. */
  burnCode(windowId: string, burnt: Code): void {
    const window = this.windows.get(windowId);
    if (window === undefined) return;
    const codes = window.codes.filter(({ secret }) => secret !== burnt.secret);
    if (codes.length === 0) return this.endWindow(windowId, "burnt");
    this.windows.set(windowId, { ...window, codes });
    this.#endCode(windowId, "burnt", burnt.secret);
  }

  /** Put one of a window's codes as it is now. */
  putCode(windowId: string, code: Code): void {
    const window = this.windows.get(windowId);
    if (window === undefined) return;
    const codes = window.codes.map((other) => (other.secret === code.secret ? code : other));
    this.windows.set(windowId, { ...window, codes });
  }

  /** Give a claimed code back, so that the device or another may try; what has run out meanwhile ends. */
  releaseClaim(attemptId: string, windowId: string | undefined): void {
    const window = this.window(windowId);
    if (window === undefined) return;
    const without = (code: Code): Code =>
      code.claims.includes(attemptId) ? { ...code, claims: code.claims.filter((id) => id !== attemptId) } : code;
    this.windows.set(window.windowId, { ...window, codes: window.codes.map(without) });
    this.endIfOver(window.windowId, "expired");
  }

  /** End a window that has no place left, no request and nobody to come back, with `reason`; or one whose time is over, once nobody is in it: what began in time may end. */
  endIfOver(windowId: string, reason: CodeEnd): void {
    const window = this.windows.get(windowId);
    if (window === undefined || window.requests.length > 0) return;
    if (window.places === 0 && window.awaited.length === 0) this.endWindow(windowId, reason);
    else if (this.now >= window.expiresAt && !isClaimed(window)) this.endWindow(windowId, "expired");
  }

  /** End a request; the stream that waits for it is told `failure`, if any. Its place stays taken. */
  endRequest(
    request: PairingRequest,
    outcome: RequestEnd,
    failure?: { readonly code: PairingCode; readonly message: string },
  ): void {
    const { requestId, windowId, attemptId } = request;
    this.requests.delete(requestId);
    const window = this.windows.get(windowId);
    if (window !== undefined) {
      this.windows.set(windowId, { ...window, requests: window.requests.filter((id) => id !== requestId) });
    }
    if (attemptId !== undefined) {
      if (failure === undefined) this.attempts.delete(attemptId);
      else this.failAttempt(attemptId, failure.code, failure.message);
    }
    this.effects.push({ kind: "request-ended", requestId, outcome });
  }

  #endCode(windowId: string, reason: CodeEnd, code: Code["secret"]): void {
    this.effects.push({ kind: "code-ended", windowId, reason, code });
  }
}

/** Whether somebody is proving one of its codes. */
export function isClaimed(window: PairingWindow): boolean {
  return window.codes.some(({ claims }) => claims.length > 0);
}
