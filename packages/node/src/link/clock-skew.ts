import type { NodeLogLine } from "../node-options.ts";

/** What clocks that are kept differ by at most, with the way between them. */
export const TOLERATED_SKEW_MS = 30_000;

/**
 * What to say of two clocks at the beginning of a session: certificates are dated back by ten minutes, so clocks that drift apart work until they suddenly do not. Unix milliseconds.
 * @returns `undefined` where they agree
 */
export function skewLine(gateway: number, here: number): NodeLogLine | undefined {
  const offMs = Math.round(here - gateway);
  if (Math.abs(offMs) <= TOLERATED_SKEW_MS) return undefined;
  const [gatewayClock = "", clock = ""] = [gateway, here].map((at) => new Date(at).toISOString());
  const seconds = Math.round(Math.abs(offMs) / 1000);
  const message = `this clock is ${seconds} s ${offMs > 0 ? "ahead of" : "behind"} the gateway's: it says ${clock}, the gateway's ${gatewayClock}`;
  return { level: "warn", event: "clock.skew", message, details: { offMs, clock, gatewayClock } };
}
