/** `npm run fuzz`. */
import { fuzzCommand } from "./command.ts";
import { TARGETS } from "./targets/index.ts";

process.exitCode = await fuzzCommand(process.argv.slice(2), TARGETS);
