/** Task definitions as the client sees them, and checking values against their schemas. */
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What a submitter needs of a task definition; `defineTask` of the node package returns one. */
export interface TaskDefinition<
  Input extends StandardSchemaV1 = StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
> {
  readonly name: string;
  readonly input: Input;
  readonly output: Output;
}

/** A value that fits its schema, or why it does not. */
export type Checked<T> =
  | { readonly kind: "fits"; readonly value: T }
  | { readonly kind: "misfits"; readonly why: string };

/** Check `value`; the reasons name the paths of what does not fit. */
export async function check<S extends StandardSchemaV1>(
  schema: S,
  value: unknown,
): Promise<Checked<StandardSchemaV1.InferOutput<S>>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return { kind: "fits", value: result.value };
  return { kind: "misfits", why: result.issues.map(describe).join("; ") };
}

function describe(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}
