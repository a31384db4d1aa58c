import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What a parser gives {@link standardSchema}. */
export type Parsed<T> = { readonly value: T } | { readonly issue: string; readonly path?: string };

/** A Standard Schema from one function, for definitions that are built in. */
export function standardSchema<T>(parse: (value: unknown) => Parsed<T>): StandardSchemaV1<T, T> {
  return {
    "~standard": {
      version: 1,
      vendor: "quaymesh",
      validate(value) {
        const parsed = parse(value);
        if ("value" in parsed) return { value: parsed.value };
        return { issues: [{ message: parsed.issue, ...(parsed.path !== undefined && { path: [parsed.path] }) }] };
      },
    },
  };
}
