/** Holds a state directory's lock until it is killed. */
import { stateLayout } from "../../src/daemon/state-directory.ts";
import { StateLock } from "../../src/daemon/state-lock.ts";

const lock = await StateLock.acquire(stateLayout(process.argv[2] ?? ""));
process.stdout.write("held\n");
setInterval(() => lock, 1_000);
