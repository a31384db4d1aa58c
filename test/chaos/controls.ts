/** The product, broken on purpose in the processes that chaos starts: it has to notice. Nothing in the sources changes, and no build of them knows of it. */
import { setTimeout as delay } from "node:timers/promises";
import { nodeFiles } from "../../packages/node/src/outbox/files.ts";
import { Outbox } from "../../packages/node/src/outbox/outbox.ts";
import type { AppendInput, AppendResult } from "../../packages/gateway/src/store/port-events.ts";
import { WorkerClient } from "../../packages/gateway/src/store/sqlite/worker-client.ts";
import type { Rule } from "./audit.ts";
import { replaceMethod } from "./rig/replace.ts";

/** A promise that is broken. */
export interface Control {
  readonly about: string;
  /** One of these must be seen to be broken. */
  readonly rules: readonly Rule[];
}

/** Every control by name. */
export const CONTROLS = {
  "no-dedupe": {
    about: "the gateway stores whatever comes, without a look at the watermark",
    // Whoever counts what was there already acknowledges more than was sent, and its node says so.
    rules: ["duplicated", "reordered", "surprise"],
  },
  "ack-before-commit": {
    about: "the gateway acknowledges what it has received and not committed",
    rules: ["lost", "renumbered", "surprise"],
  },
  "truncate-before-ack": {
    about: "the node drops from its outbox what it has sent",
    // Read, though it was not in the log yet when its node was told that it is.
    rules: ["lost", "renumbered", "surprise", "read-wrong"],
  },
  "record-before-write": {
    about: "publish resolves before the event is with the operating system",
    rules: ["lost", "reordered", "resolved-before-sync"],
  },
  "no-fsync-on-the-node": {
    about: "the node's outbox does not sync what it calls recorded",
    rules: ["resolved-before-sync"],
  },
  "cursor-before-delivery": {
    about: "a reader saves its cursor before it has acted on the event",
    rules: ["read-wrong"],
  },
} as const satisfies Readonly<Record<string, Control>>;

/** Names of {@link CONTROLS}. */
export type ControlName = keyof typeof CONTROLS;

type Call = (this: WorkerClient, unit: string, input: unknown) => Promise<unknown>;

/** How long what is promised is put off, milliseconds. */
const LATE_MS = 25;

/** In a gateway's process, before anything is opened. */
export function breakGateway(control: ControlName | undefined): void {
  const make = control === "no-dedupe" ? takeEverything : control === "ack-before-commit" ? answerEarly : undefined;
  if (make === undefined) return;
  const units = WorkerClient.prototype as unknown as { call: Call };
  replaceMethod(units, "call", (call) => {
    const broken = make(call);
    return function (unit, input) {
      return unit === "events.append" ? broken.call(this, input as AppendInput) : call.call(this, unit, input);
    };
  });
}

type Append = (this: WorkerClient, input: AppendInput) => Promise<unknown>;

/** One append after the other, each as if it were all new. */
function takeEverything(call: Call): Append {
  let before: Promise<unknown> = Promise.resolve();
  return function (input) {
    const mine = before.then(async () => {
      const watermark = Number(await call.call(this, "events.watermark", input));
      return await call.call(this, "events.append", { ...input, first: watermark + 1 });
    });
    before = mine.catch(() => {});
    return mine;
  };
}

/** The answer a commit would have, some time before it. */
function answerEarly(call: Call): Append {
  const promised = new Map<string, number>();
  return async function (input) {
    const { deviceId, first, events } = input;
    const stored = promised.get(deviceId) ?? Number(await call.call(this, "events.watermark", input));
    const before = Math.max(stored, promised.get(deviceId) ?? 0);
    if (first > before + 1) return { kind: "expected", seq: before + 1 } satisfies AppendResult;
    const ackedSeq = Math.max(before, first + events.length - 1);
    promised.set(deviceId, ackedSeq);
    void delay(LATE_MS).then(() => call.call(this, "events.append", input));
    return {
      kind: "stored",
      ackedSeq,
      lastOffset: 0,
      inserted: ackedSeq - before,
      conflicts: [],
      tasks: [],
    } satisfies AppendResult;
  };
}

/** In a node's process, before anything is opened. */
export function breakNode(control: ControlName | undefined): void {
  switch (control) {
    case "truncate-before-ack":
      return truncateBeforeAck();
    case "record-before-write":
      return recordBeforeWrite();
    case "no-fsync-on-the-node":
      return neverSync();
    default:
  }
}

function truncateBeforeAck(): void {
  replaceMethod(Outbox.prototype, "cursor", (cursor) => {
    return function (this: Outbox, after) {
      const reading = cursor.call(this, after);
      const next = reading.next.bind(reading);
      reading.next = async (limit) => {
        const records = await next(limit);
        this.acknowledge(records.at(-1)?.seq ?? 0);
        return records;
      };
      return reading;
    };
  });
}

function recordBeforeWrite(): void {
  let last: number | undefined;
  replaceMethod(Outbox.prototype, "append", (append) => {
    return function (this: Outbox, event, options) {
      last ??= this.durable;
      last += 1;
      void delay(LATE_MS).then(() => append.call(this, event, options));
      return Promise.resolve(last);
    };
  });
}

function neverSync(): void {
  replaceMethod(nodeFiles, "open", (open) => async (path, how) => {
    return { ...(await open(path, how)), sync: () => Promise.resolve() };
  });
}
