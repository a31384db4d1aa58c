import type { StandardSchemaV1 } from "@standard-schema/spec";
import { NodeError } from "../errors.ts";
import type { TaskContext } from "./context.ts";

/** What a task definition may be called: dotted words, such as `image.resize`. */
const NAME = /^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$/i;
const MAX_NAME_LENGTH = 128;

/**
 * A kind of work a node offers: a name, schemas for what goes in and what comes out, and the work itself. Any Standard Schema fits: zod,
 * valibot, arktype, typebox. Gateways need only `name`, `input` and `output`.
 */
export interface TaskDefinition<
  Input extends StandardSchemaV1 = StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
> {
  readonly name: string;
  readonly input: Input;
  readonly output: Output;
  /** Attempts of this definition that run at once; the node's own limit holds besides. */
  readonly concurrency?: number;
  /**
   * The work. Reject to fail the attempt; a {@link TaskFailure} says whether trying again could help. Stop soon after `context.signal` aborts.
   * @param input as the input schema put it out
   * @returns what the output schema takes
   */
  run(
    input: StandardSchemaV1.InferOutput<Input>,
    context: TaskContext,
  ): Promise<StandardSchemaV1.InferInput<Output>> | StandardSchemaV1.InferInput<Output>;
}

/**
 * Define a task; the types of `run` follow from the schemas.
 * @throws {NodeError} `TASK_DEFINITION_INVALID` for a name or a concurrency that cannot be offered
 */
export function defineTask<Input extends StandardSchemaV1, Output extends StandardSchemaV1>(
  definition: TaskDefinition<Input, Output>,
): TaskDefinition<Input, Output> {
  const { name, concurrency } = definition;
  if (name.length > MAX_NAME_LENGTH || !NAME.test(name)) {
    throw new NodeError(
      "TASK_DEFINITION_INVALID",
      `"${name.slice(0, MAX_NAME_LENGTH)}" cannot name a task: use words of letters, digits, - and _, joined by dots, ${MAX_NAME_LENGTH} characters at most`,
    );
  }
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= 1024)) {
    throw new NodeError("TASK_DEFINITION_INVALID", `the concurrency of ${name} must be 1 to 1024, not ${concurrency}`);
  }
  return Object.freeze({ ...definition });
}
