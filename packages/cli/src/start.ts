/** The process of the `quaymesh` command: signals, streams and the exit code. Started by bin/quaymesh.js. */
import { coveredTitle } from "./argv-secrets.ts";
import { CliError } from "./errors.ts";
import { EXIT_INTERRUPTED } from "./exit-codes.ts";
import { inheritedSockets, takeListenVariables } from "./inherited.ts";
import { main } from "./main.ts";
import { Terminal } from "./ui/terminal.ts";

const stop = new AbortController();
const terminal = new Terminal(process);

function onSignal(name: "SIGINT" | "SIGTERM"): void {
  if (stop.signal.aborted) {
    // Twice means at once; a state directory survives that as it survives a kill.
    process.exit(EXIT_INTERRUPTED);
  }
  if (terminal.live) terminal.note(`\n${name === "SIGINT" ? "Ctrl-C" : name}: stopping; again to stop at once`);
  stop.abort(new CliError("INTERRUPTED", `stopped by ${name === "SIGINT" ? "Ctrl-C" : name}`));
}
process.on("SIGINT", () => onSignal("SIGINT"));
process.on("SIGTERM", () => onSignal("SIGTERM"));
// A reader that leaves, as in `quaymesh events tail | head`, has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const covered = coveredTitle(process.argv.slice(2));
// Replaces what /proc shows, from here on: a command that waits for an operator lives for minutes.
if (covered !== undefined) process.title = covered;
const said = takeListenVariables(process.env);
const inherited = () => inheritedSockets(said, process.pid);
const exit = await main(process.argv.slice(2), { terminal, signal: stop.signal, inherited, now: Date.now });
// What was said gets out first; then a command that is done ends, whatever still holds the loop: an open stdin would.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))),
);
process.exit(exit);
