/** The events by which a node reports on an attempt. docs/wire.md, "Tasks". */
import { decodeCbor } from "../cbor/decode.ts";
import { VALUE_LIMITS } from "../cbor/limits.ts";
import { Compile } from "typebox/compile";
import { checked, compileAll, decodeMap } from "./parse.ts";
import {
  taskResultRef,
  taskLogData,
  taskOutputData,
  taskProgressData,
  taskResultData,
  type TaskLogData,
  type TaskOutputData,
  type TaskProgressData,
  type TaskResultData,
} from "./task.ts";

/** A task event with its data decoded. */
export type TaskEvent =
  | { readonly kind: "task.progress"; readonly data: TaskProgressData }
  | { readonly kind: "task.log"; readonly data: TaskLogData }
  | { readonly kind: "task.output"; readonly data: TaskOutputData }
  | { readonly kind: "task.result"; readonly data: TaskResultData };

const VALIDATORS = compileAll({
  "task.progress": taskProgressData,
  "task.log": taskLogData,
  "task.output": taskOutputData,
  "task.result": taskResultData,
});

/**
 * Read an event's data where its kind is one of the task kinds; `undefined` for every other kind.
 * @throws {ProtocolError} `CBOR_INVALID`, `MESSAGE_INVALID`
 */
export function parseTaskEvent(kind: string, data: Uint8Array): TaskEvent | undefined {
  const validator = VALIDATORS.get(kind);
  if (validator === undefined) return undefined;
  return { kind, data: checked(validator, decodeMap(data, VALUE_LIMITS), kind) } as TaskEvent;
}

const checkRef = Compile(taskResultRef);

/**
 * The attempt that a `task.result` speaks of which {@link parseTaskEvent} refuses; `undefined` where it does not say.
 * @throws {ProtocolError} `CBOR_INVALID`
 */
export function readResultRef(data: Uint8Array): { readonly taskId: string; readonly token: number } | undefined {
  const value = decodeCbor(data, VALUE_LIMITS);
  return checkRef.Check(value) ? { taskId: value.taskId, token: value.token } : undefined;
}
