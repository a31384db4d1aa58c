import type { Line } from "./child.ts";
import { DemoError } from "./error.ts";

/** A text field of a child's line. @throws {DemoError} when it is not there */
export function textField(line: Line, name: string): string {
  const value = line[name];
  if (typeof value === "string" && value !== "") return value;
  throw missing(line, name, "text");
}

/** A number field of a child's line. @throws {DemoError} when it is not there */
export function numberField(line: Line, name: string): number {
  const value = line[name];
  if (typeof value === "number") return value;
  throw missing(line, name, "a number");
}

/** A field of texts. @throws {DemoError} when it is not there */
export function textsField(line: Line, name: string): readonly string[] {
  const value = line[name];
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) return value;
  throw missing(line, name, "a list of texts");
}

/** An inner object. @throws {DemoError} when it is not there */
export function objectField(line: Line, name: string): Line {
  const value = line[name];
  if (typeof value === "object" && value !== null) return { ...value };
  throw missing(line, name, "an object");
}

function missing(line: Line, name: string, kind: string): DemoError {
  return new DemoError(`expected ${kind} as "${name}"`, { seen: [JSON.stringify(line).slice(0, 400)] });
}
