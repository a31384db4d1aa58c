import diagnostics from "node:diagnostics_channel";

/**
 * Carries `{ where, error }` for faults of this process that a transport survives but must not pass over in silence: an `authorize` that threw, a connection that failed
 * within, a listener that could not be closed when its signal asked for it, a trace that could not be written. Subscribe with `node:diagnostics_channel`.
 */
export const FAULTS = diagnostics.channel("quaymesh:transport-quic:fault");

/** Tell whoever listens; nothing is thrown. */
export function reportFault(where: "authorize" | "connection" | "listener" | "trace", error: unknown): void {
  FAULTS.publish({ where, error });
}
