import type { Logger } from "@quaymesh/gateway";
import type { Terminal } from "./ui/terminal.ts";

/** How much a gateway says, least first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A gateway's log on stderr: pino's JSON lines for machines, one readable line each for people. Secrets are of a type that prints as `[redacted]`, whoever formats them.
 */
export async function gatewayLogger(
  terminal: Terminal,
  options: { readonly json: boolean; readonly log: LogLevel },
): Promise<Logger> {
  if (options.json) {
    const { destination, pino, stdSerializers } = await import("pino");
    const { err } = stdSerializers;
    // Synchronous: what led to a crash must be on the page when the process is gone.
    const logger: Logger = pino(
      {
        level: options.log,
        base: { pid: process.pid },
        timestamp: isoTime,
        formatters,
        serializers: { err, error: err, cause: err },
      },
      destination({ fd: 2, sync: true }),
    );
    return logger;
  }
  const lowest = LOG_LEVELS.indexOf(options.log);
  const write =
    (level: LogLevel) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      if (LOG_LEVELS.indexOf(level) < lowest) return;
      const time = new Date().toISOString().slice(11, 23);
      terminal.note(`${time} ${level.padEnd(5)} ${message}${inline(fields)}`);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

const isoTime = (): string => `,"time":"${new Date().toISOString()}"`;
const formatters = { level: (label: string): { level: string } => ({ level: label }) };

function inline(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `  ${name}=${shown(value)}`)
    .join("");
}

function shown(value: unknown): string {
  if (value instanceof Error) return value.message;
  // Measurements come with all their digits, which are for machines.
  return JSON.stringify(typeof value === "number" ? Math.round(value * 10) / 10 : value);
}
