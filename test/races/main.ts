/** `npm run races`. */
import { racesCommand } from "./command.ts";

process.exitCode = await racesCommand(process.argv.slice(2));
