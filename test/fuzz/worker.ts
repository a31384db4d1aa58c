/** The thread in which a target runs: one that never comes back, or eats all memory, takes only this thread along. */
import { parentPort, workerData } from "node:worker_threads";
import { BlockCoverage } from "./coverage.ts";
import { Engine } from "./engine.ts";
import type { WorkerMessage, WorkerSetup } from "./messages.ts";
import type { PureTarget } from "./target.ts";

const setup: WorkerSetup = workerData;
const say = (message: WorkerMessage): void => parentPort?.postMessage(message);
// Before the target is loaded: what V8 compiles earlier has no block counters.
using coverage = BlockCoverage.start();
const { target }: { target: PureTarget } = await import(setup.module);
say({ kind: "done", summary: await new Engine(target, coverage, setup, say).run() });
