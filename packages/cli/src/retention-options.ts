/** Options of `gateway run` that say how much of the log is kept, and for whom. */
import type { GatewayOptions } from "@quaymesh/gateway";
import { Option, type Command } from "commander";
import { bytes, seconds, wholeNumber } from "./command.ts";

/** What {@link addRetentionOptions} adds; each has a default or stays out. */
export interface RetentionFlags {
  /** Seconds, or `none`. */
  readonly retainAge: number | "none";
  readonly retainSize: number | "none";
  /** The machine's clock was wrong and is right now. */
  readonly trustClock?: boolean;
  readonly deviceQuota?: number;
  readonly deviceRate?: number;
}

const MINUTE_S = 60;
const CENTURY_S = 3_155_760_000;
const DEFAULT_AGE_S = 30 * 86_400;
const DEFAULT_SIZE_BYTES = 10_000_000_000;
/** Of the log, what one device may hold unless it is said: a flood of one must not push out what the others sent. */
const QUOTA_SHARE = 0.25;

/** Add the options that bound the log. */
export function addRetentionOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--retain-age <time>", "keep events, and what has ended, this long; none: for ever")
        .argParser(orNone(seconds(MINUTE_S, CENTURY_S)))
        .default(DEFAULT_AGE_S, "30d"),
    )
    .addOption(
      new Option("--retain-size <size>", "keep at most so much of events, the newest; none: any")
        .argParser(orNone(bytes(1_000_000)))
        .default(DEFAULT_SIZE_BYTES, "10GB"),
    )
    .option("--trust-clock", "the clock was set right: go by it at once, not in twice the time it takes to come there")
    .addOption(
      new Option("--device-quota <size>", "what one device may hold of that (default: a quarter)").argParser(
        bytes(100_000),
      ),
    )
    .addOption(
      new Option("--device-rate <n>", "events one device may send a second (default: 100000)").argParser(
        wholeNumber(1, 1_000_000_000),
      ),
    );
}

/** The options as the gateway takes them. */
export function retentionOf(flags: RetentionFlags): Pick<GatewayOptions, "retention" | "ingest"> {
  const { retainAge, retainSize, deviceRate } = flags;
  const quota = flags.deviceQuota ?? (retainSize === "none" ? undefined : retainSize * QUOTA_SHARE);
  return {
    retention: {
      ...(retainAge !== "none" && { maxAgeMs: retainAge * 1000 }),
      ...(retainSize !== "none" && { maxBytes: retainSize }),
      ...(flags.trustClock === true && { trustClock: true }),
    },
    ingest: {
      ...(quota !== undefined && { maxDeviceBytes: quota }),
      ...(deviceRate !== undefined && { maxEventsPerSecond: deviceRate }),
    },
  };
}

function orNone(parse: (text: string) => number): (text: string) => number | "none" {
  return (text) => (text === "none" ? "none" : parse(text));
}
