/** Holds a state directory's lock until it is killed, or whoever reads its output is gone. */
import { stateLayout } from "../../src/daemon/state-directory.ts";
import { StateLock } from "../../src/daemon/state-lock.ts";

const lock = await StateLock.acquire(stateLayout(process.argv[2] ?? ""));
process.stdout.write("held\n");
process.stdout.on("error", () => process.exit(1));
setInterval(() => process.stdout.write(lock === undefined ? "" : "."), 500);
