import { decodeValue, parseTaskToNode, ProtocolError, type MessageStream, type TaskRun } from "@quaymesh/protocol";
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** Largest input of a task, bytes: what the operator API takes. */
const MAX_INPUT_BYTES = 67_108_864;

/** Why an attempt will not run here; goes to the gateway as `rejected`. */
export class TaskRejection extends Error {
  override readonly name = "TaskRejection";
  readonly code: TaskRejectionCode;
  constructor(code: TaskRejectionCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link TaskRejection}. */
export type TaskRejectionCode =
  | "TASK_UNKNOWN"
  | "TASK_STALE"
  | "TASK_INPUT_INVALID"
  | "TASK_INPUT_TOO_LARGE"
  | "CANCELLED"
  | "NODE_BUSY"
  | "NODE_STOPPING";

/**
 * Read a task's input off its stream.
 * @throws {TaskRejection} `TASK_INPUT_TOO_LARGE`, `TASK_INPUT_INVALID`, `CANCELLED`; {ProtocolError}, {TransportError} from the stream
 */
export async function readInput(stream: MessageStream, run: TaskRun): Promise<unknown> {
  if (run.inputBytes > MAX_INPUT_BYTES) {
    throw new TaskRejection("TASK_INPUT_TOO_LARGE", `${run.inputBytes} bytes of input; ${MAX_INPUT_BYTES} at most`);
  }
  const bytes = new Uint8Array(run.inputBytes);
  let filled = 0;
  for (;;) {
    const message = await stream.expect(parseTaskToNode);
    if (message.type === "cancel") throw new TaskRejection("CANCELLED", "cancelled before it began");
    if (message.type === "input.end") break;
    if (message.type === "end") throw new ProtocolError("STATE_INVALID", "the input ended before it was complete");
    if (filled + message.bytes.length > bytes.length) throw wrongLength(run.inputBytes);
    bytes.set(message.bytes, filled);
    filled += message.bytes.length;
  }
  if (filled !== bytes.length) throw wrongLength(run.inputBytes);
  try {
    return decodeValue(bytes);
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new TaskRejection("TASK_INPUT_INVALID", cause.message, { cause });
    throw cause;
  }
}

/**
 * Judge a value by a Standard Schema.
 * @returns the value as the schema puts it out, or its complaints in one line
 */
export async function applySchema<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
): Promise<
  | { readonly kind: "valid"; readonly value: StandardSchemaV1.InferOutput<Schema> }
  | { readonly kind: "invalid"; readonly message: string }
> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined)
    return { kind: "valid", value: result.value as StandardSchemaV1.InferOutput<Schema> };
  const complaints = result.issues.slice(0, 5).map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  return { kind: "invalid", message: complaints.join("; ").slice(0, 500) };
}

function wrongLength(announced: number): ProtocolError {
  return new ProtocolError("STATE_INVALID", `the input is not the ${announced} bytes that were announced`);
}
