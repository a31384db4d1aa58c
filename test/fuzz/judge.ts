/** The oracle for one input: it is taken or refused as promised, without blocking the thread. */
import { type FindingKind, type PureTarget, Violation } from "./target.ts";

/** DESIGN: no frame blocks the event loop for longer. */
export const MAX_BLOCK_MS = 50;
/** A pause of the machine does not come three times in a row at the same input. */
const CONFIRMATIONS = 3;

/** What is wrong with one input. */
export interface Failure {
  readonly kind: FindingKind;
  readonly message: string;
}

/** Judge one input. @param onMs told how long it took, by the clock */
export async function judge(
  target: PureTarget,
  input: Uint8Array,
  onMs?: (ms: number) => void,
): Promise<Failure | undefined> {
  const startedAt = performance.now();
  const failure = await attempt((bytes) => target.run(bytes), input);
  const ms = performance.now() - startedAt;
  onMs?.(ms);
  if (failure !== undefined || ms <= MAX_BLOCK_MS) return failure;
  return confirmSlow(target, input);
}

async function attempt(read: (input: Uint8Array) => unknown, input: Uint8Array): Promise<Failure | undefined> {
  try {
    // Awaiting what is no promise would cost every input a turn.
    const pending = read(input);
    if (pending instanceof Promise) await pending;
    return undefined;
  } catch (error) {
    return { kind: error instanceof Violation ? "violated" : "threw", message: describe(error) };
  }
}

// By the clock it was late, but it may have been descheduled, compiled or swept up after. Its CPU time tells.
async function confirmSlow(target: PureTarget, input: Uint8Array): Promise<Failure | undefined> {
  const readers = target.readers ?? [(bytes: Uint8Array) => target.run(bytes)];
  let slowest = 0;
  for (const read of readers) slowest = Math.max(slowest, await leastCpuMs(read, input));
  if (slowest <= MAX_BLOCK_MS) return undefined;
  return { kind: "slow", message: `one input takes ${slowest.toFixed(0)} ms of CPU, again and again` };
}

async function leastCpuMs(read: (input: Uint8Array) => unknown, input: Uint8Array): Promise<number> {
  let least = Infinity;
  for (let again = 0; again < CONFIRMATIONS; again += 1) {
    const before = process.threadCpuUsage();
    await attempt(read, input);
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const where = (error.stack ?? "").split("\n").find((line) => /\/(packages|planted)\//.test(line));
  const place = /\/((?:packages|test)\/[^):]+:\d+)/.exec(where ?? "")?.[1];
  return `${error.name}: ${error.message.slice(0, 200)}${place === undefined ? "" : ` (${place})`}`;
};
