/**
 * `task.run`, a stream the gateway opens, one per attempt; and the event kinds by which a node reports on it. Progress,
 * log lines, output and the result travel as events through the outbox, so a cut connection or a crash loses none of
 * them. docs/wire.md, "Tasks".
 */
import { Type, type Static } from "typebox";
import { bytes, message, position, request, taskId, text, uint } from "./common.ts";
import type { endOfStream } from "./events.ts";

/** Largest piece of task input or output in one frame or event, bytes. */
export const MAX_TASK_CHUNK_BYTES = 49_152;

/** Gateway to node, the request frame. */
export const taskRun = request("task.run", {
  taskId,
  definition: text(128),
  /** 1 for the first attempt. */
  attempt: uint(),
  /** The fencing token: grows with every lease of this task. */
  token: uint(),
  leaseMs: uint(),
  /** Time left for the attempt as a whole. */
  timeoutMs: uint(),
  exclusive: Type.Boolean(),
  idempotent: Type.Boolean(),
  /** Bytes of the input, one CBOR value sent in `input` messages. */
  inputBytes: uint(),
});
/** Gateway to node. */
export const taskInput = message("input", { bytes: bytes(1, 262_144) });
/** Gateway to node: the input is complete. */
export const taskInputEnd = message("input.end", {});
/** Gateway to node: stop and report `cancelled` (or what already happened). */
export const taskCancel = message("cancel", { reason: text(256, 0) });
/** Node to gateway: the attempt runs. */
export const taskAccepted = message("accepted", {});
/** Node to gateway, last message: this attempt will not run here. */
export const taskRejected = message("rejected", { code: text(64), message: text(512, 0) });
/** Node to gateway, last message: the `task.result` event of this attempt is in the outbox with this sequence. */
export const taskFinished = message("finished", { seq: position() });

/** Opens `task.run`: one attempt. */
export type TaskRun = Static<typeof taskRun>;
/** What a gateway sends on `task.run` after the request. */
export type TaskToNode =
  | Static<typeof taskInput>
  | Static<typeof taskInputEnd>
  | Static<typeof taskCancel>
  | Static<typeof endOfStream>;
/** What a node sends on `task.run`. */
export type TaskFromNode = Static<typeof taskAccepted> | Static<typeof taskRejected> | Static<typeof taskFinished>;

const attemptRef = { taskId, token: uint() };

/** Data of a `task.progress` event. */
export const taskProgressData = Type.Object({
  ...attemptRef,
  fraction: Type.Number({ minimum: 0, maximum: 1 }),
  message: Type.Optional(text(512, 0)),
});
/** Data of a `task.log` event. */
export const taskLogData = Type.Object({ ...attemptRef, level: text(16), message: text(8192, 0) });
/** Data of a `task.output` event: a piece of the result, one CBOR value, in order from `index` 0. */
export const taskOutputData = Type.Object({ ...attemptRef, index: uint(), bytes: bytes(1, MAX_TASK_CHUNK_BYTES) });
/** Data of a `task.result` event, the last of an attempt. What failed says why; beside other outcomes `error` means nothing. */
export const taskResultData = Type.Refine(
  Type.Object({
    ...attemptRef,
    outcome: Type.Union([
      Type.Literal("succeeded"),
      Type.Literal("failed"),
      Type.Literal("cancelled"),
      Type.Literal("timed-out"),
      Type.Literal("lease-lost"),
    ]),
    /** How many `task.output` events came before, and their bytes together. */
    outputChunks: uint(),
    outputBytes: uint(),
    error: Type.Optional(Type.Object({ code: text(64), message: text(4096, 0), retryable: Type.Boolean() })),
  }),
  ({ outcome, error }) => outcome !== "failed" || error !== undefined,
  () => "expected an error beside the outcome failed",
);
/** What even a `task.result` that cannot be read has to say: whose it is. */
export const taskResultRef = Type.Object(attemptRef);

/** Data of a `task.progress` event. */
export type TaskProgressData = Static<typeof taskProgressData>;
/** Data of a `task.log` event. */
export type TaskLogData = Static<typeof taskLogData>;
/** Data of a `task.output` event. */
export type TaskOutputData = Static<typeof taskOutputData>;
/** Data of a `task.result` event. */
export type TaskResultData = Static<typeof taskResultData>;
