import { createClient, type Client } from "@connectrpc/connect";
import { TaskService } from "@quaymesh/api";
import { encodeValue } from "@quaymesh/protocol/core";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { MAX_TASK_INPUT_BYTES } from "../tasks/service.ts";
import { required, taskInfo } from "./decode.ts";
import { ClientError } from "./errors.ts";
import { check, type TaskDefinition } from "./schema.ts";
import { TaskHandle, type CallOptions, type ReadOutput } from "./task-handle.ts";
import type { TaskInfo } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Where a task runs: on one device (id, unique prefix or unique name), or on any node with a label. */
export type TaskPlace = { readonly device: string } | { readonly label: string };

/** Options of {@link Tasks.submit}. */
export interface SubmitOptions {
  /** Default: any node that offers the definition. */
  readonly on?: TaskPlace;
  /** For one attempt, counted in whole seconds, rounded up. Default one hour. */
  readonly timeoutMs?: number;
  /** Until a task that never started is given up, in whole seconds, rounded up. Default one day. */
  readonly queueMs?: number;
  /** Repeats with the same key and body return the same task. */
  readonly idempotencyKey?: string;
  /** The node runs nothing else meanwhile. */
  readonly exclusive?: boolean;
  /** The work may safely run twice. */
  readonly idempotent?: boolean;
  /** Default 5. */
  readonly maxAttempts?: number;
  readonly signal?: AbortSignal;
}

const asIs: ReadOutput<unknown> = (value) => Promise.resolve(value);

/** Offloaded work. */
export class Tasks {
  readonly #wire: Wire;
  readonly #client: Client<typeof TaskService>;

  /** Use `connect`. */
  constructor(wire: Wire) {
    this.#wire = wire;
    this.#client = createClient(TaskService, wire.transport);
  }

  /**
   * Submit work; it is committed when this resolves. A definition types the input and the result; its input is checked here, before anything is sent, and
   * travels unchanged. A bare name submits any CBOR value.
   * @throws {ClientError} `INPUT_INVALID`, `INPUT_TOO_LARGE`, `IDEMPOTENCY_CONFLICT`, `DEVICE_NOT_FOUND`, …
   * @throws {ProtocolError} `VALUE_UNENCODABLE` for an input CBOR cannot carry
   */
  submit<Input extends StandardSchemaV1, Output extends StandardSchemaV1>(
    definition: TaskDefinition<Input, Output>,
    input: StandardSchemaV1.InferInput<Input>,
    options?: SubmitOptions,
  ): Promise<TaskHandle<StandardSchemaV1.InferOutput<Output>>>;
  submit(definition: string, input: unknown, options?: SubmitOptions): Promise<TaskHandle<unknown>>;
  async submit(
    definition: TaskDefinition | string,
    input: unknown,
    options: SubmitOptions = {},
  ): Promise<TaskHandle<unknown>> {
    const name = typeof definition === "string" ? definition : definition.name;
    if (typeof definition !== "string") await checkInput(definition, input);
    const bytes = encodeValue(input);
    if (bytes.length > MAX_TASK_INPUT_BYTES) {
      throw new ClientError(
        "INPUT_TOO_LARGE",
        `the input is ${bytes.length} bytes, more than ${MAX_TASK_INPUT_BYTES}`,
        {
          hint: "Split the work into several tasks.",
        },
      );
    }
    const answer = await this.#wire.call(
      () => this.#client.submitTask(submission(name, bytes, options), withSignal(options.signal)),
      options.signal,
    );
    const task = required(answer.task, "task");
    return new TaskHandle(task.taskId, this.#wire, this.#client, reader(definition));
  }

  /** Attach to a task by id or unique prefix, typed when its definition is given. @throws {ClientError} `TASK_NOT_FOUND`, `TASK_AMBIGUOUS` */
  attach<Output extends StandardSchemaV1>(
    id: string,
    options: CallOptions & { readonly definition: TaskDefinition<StandardSchemaV1, Output> },
  ): Promise<TaskHandle<StandardSchemaV1.InferOutput<Output>>>;
  attach(id: string, options?: CallOptions): Promise<TaskHandle<unknown>>;
  async attach(
    id: string,
    options?: CallOptions & { readonly definition?: TaskDefinition },
  ): Promise<TaskHandle<unknown>> {
    const answer = await this.#wire.call(
      () => this.#client.getTask({ taskId: id }, withSignal(options?.signal)),
      options?.signal,
    );
    const task = required(answer.task, "task");
    return new TaskHandle(task.taskId, this.#wire, this.#client, reader(options?.definition ?? task.definition));
  }

  /** Newest first. @throws {ClientError} */
  list(
    options?: CallOptions & { readonly limit?: number; readonly activeOnly?: boolean },
  ): Promise<readonly TaskInfo[]> {
    return this.#wire.call(async () => {
      const request = { limit: options?.limit ?? 0, activeOnly: options?.activeOnly ?? false };
      const answer = await this.#client.listTasks(request, withSignal(options?.signal));
      return answer.tasks.map(taskInfo);
    }, options?.signal);
  }
}

/** Call options with the signal left out when there is none, as exact optional types want it. */
function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function submission(definition: string, input: Uint8Array, options: SubmitOptions) {
  return {
    definition,
    input,
    target: { target: place(options.on) },
    timeoutSeconds: Math.ceil((options.timeoutMs ?? 0) / 1000),
    queueSeconds: Math.ceil((options.queueMs ?? 0) / 1000),
    idempotencyKey: options.idempotencyKey ?? "",
    exclusive: options.exclusive ?? false,
    idempotent: options.idempotent ?? false,
    maxAttempts: options.maxAttempts ?? 0,
  };
}

function place(on: TaskPlace | undefined) {
  if (on === undefined) return { case: "any", value: true } as const;
  if ("device" in on) return { case: "device", value: on.device } as const;
  return { case: "label", value: on.label } as const;
}

async function checkInput(definition: TaskDefinition, input: unknown): Promise<void> {
  const checked = await check(definition.input, input);
  if (checked.kind === "fits") return;
  throw new ClientError("INPUT_INVALID", `the input does not fit ${definition.name}: ${checked.why}`);
}

function reader(definition: TaskDefinition | string): ReadOutput<unknown> {
  if (typeof definition === "string") return asIs;
  return async (value) => {
    const checked = await check(definition.output, value);
    if (checked.kind === "fits") return checked.value;
    throw new ClientError("OUTPUT_INVALID", `the output does not fit ${definition.name}: ${checked.why}`, {
      hint: "The node runs another version of the definition; bring both to the same one.",
    });
  };
}
