/** `npm run chaos`. */
import { chaosCommand } from "./command.ts";

process.exitCode = await chaosCommand(process.argv.slice(2));
