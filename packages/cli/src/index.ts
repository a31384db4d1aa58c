export { main } from "./main.ts";
export type { Context } from "./context.ts";
export { EXIT_CODES, exitFor } from "./exit-codes.ts";
export type { ExitCode } from "./exit-codes.ts";
export { Terminal } from "./ui/terminal.ts";
export type { Streams } from "./ui/terminal.ts";
