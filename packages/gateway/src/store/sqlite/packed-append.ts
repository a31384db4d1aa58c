/**
 * A batch of events as it crosses to the writer's thread: columns of numbers, a few strings, and the bodies behind each other. Cloned as objects, with a byte string each, a batch costs the
 * event loop more than everything else it does for it.
 */
import type { TaskEvent } from "@quaymesh/protocol";
import type { AppendEvent, AppendInput } from "../port-events.ts";
import type { Job } from "./wire.ts";

/** Numbers per event: length of data, index of kind, time. */
const STRIDE = 3;

interface PackedAppend extends Omit<AppendInput, "events"> {
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly kinds: readonly string[];
  /** The bodies, one behind the other. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** By index of their event. */
  readonly reports: ReadonlyMap<number, TaskEvent>;
}

/** A job as it is posted. */
export function packJob(job: Job): Job {
  return job.unit === "events.append" ? { ...job, input: packAppend(job.input as AppendInput) } : job;
}

/** What of a packed job moves to the other thread instead of being copied. */
export function buffersOf(job: Job): readonly ArrayBuffer[] {
  if (job.unit !== "events.append") return [];
  const { numbers, data } = job.input as PackedAppend;
  return [numbers.buffer, data.buffer];
}

/** A job as it was before {@link packJob}. Bodies are views of the one buffer. */
export function unpackJob(job: Job): Job {
  return job.unit === "events.append" ? { ...job, input: unpackAppend(job.input as PackedAppend) } : job;
}

function packAppend({ events, ...rest }: AppendInput): PackedAppend {
  const kinds = new Map<string, number>();
  let lastKind: string | undefined;
  let kind = 0;
  const reports = new Map<number, TaskEvent>();
  const numbers = new Float64Array(events.length * STRIDE);
  const data = new Uint8Array(events.reduce((sum, event) => sum + event.data.length, 0));
  let byte = 0;
  for (const [index, event] of events.entries()) {
    if (event.kind !== lastKind) {
      lastKind = event.kind;
      kind = kinds.get(lastKind) ?? kinds.size;
      kinds.set(lastKind, kind);
    }
    const at = index * STRIDE;
    numbers[at] = event.data.length;
    numbers[at + 1] = kind;
    numbers[at + 2] = event.time;
    if (event.report !== undefined) reports.set(index, event.report);
    data.set(event.data, byte);
    byte += event.data.length;
  }
  return { ...rest, numbers, kinds: [...kinds.keys()], data, reports };
}

function unpackAppend({ numbers, kinds, data, reports, ...rest }: PackedAppend): AppendInput {
  const events: AppendEvent[] = [];
  let byte = 0;
  for (let at = 0; at < numbers.length; at += STRIDE) {
    const length = numbers[at] ?? 0;
    const event = {
      kind: kinds[numbers[at + 1] ?? 0] ?? "",
      time: numbers[at + 2] ?? 0,
      data: data.subarray(byte, byte + length),
    };
    const report = reports.get(events.length);
    events.push(report === undefined ? event : { ...event, report });
    byte += length;
  }
  return { ...rest, events };
}
