import type { NamedSocket } from "./inherited.ts";
import type { Terminal } from "./ui/terminal.ts";

/** What every command is given. */
export interface Context {
  readonly terminal: Terminal;
  /** Aborts at the first Ctrl-C or SIGTERM, with a `CliError` `INTERRUPTED`: finish politely. */
  readonly signal: AbortSignal;
  /** Sockets that systemd opened for this process. @throws {CliError} `USAGE` where what it said of them makes no sense */
  inherited(): readonly NamedSocket[];
  /** The clock, Unix milliseconds. */
  now(): number;
}

/** Options that every command takes, as commander parsed them. */
export interface CommonOptions {
  readonly json: boolean;
  readonly debug: boolean;
  /** The state directory, where one was named. */
  readonly state?: string;
}
