import type { TaskDefinition } from "@quaymesh/node";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CliError } from "./errors.ts";

/**
 * Load the task definitions a module exports, whatever it names them; other exports are left alone.
 * @param file a JavaScript module, or TypeScript that Node can strip
 * @throws {CliError} `DEFINITIONS_INVALID`
 */
export async function loadDefinitions(file: string): Promise<readonly TaskDefinition[]> {
  const path = resolve(file);
  let exports: object;
  try {
    exports = (await import(pathToFileURL(path).href)) as object;
  } catch (cause) {
    throw new CliError("DEFINITIONS_INVALID", `the task definitions in ${path} cannot be loaded`, {
      cause,
      hint: "Give a module that exports what defineTask of @quaymesh/node returned.",
    });
  }
  const definitions = Object.values(exports).filter(isDefinition);
  const names = definitions.map((definition) => definition.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (definitions.length > 0 && twice === undefined) return definitions;
  throw new CliError(
    "DEFINITIONS_INVALID",
    twice === undefined ? `${path} exports no task definition` : `${path} defines ${twice} twice`,
    { hint: "Export what defineTask of @quaymesh/node returned, each under a name of its own." },
  );
}

function isDefinition(value: unknown): value is TaskDefinition {
  if (typeof value !== "object" || value === null) return false;
  if (!("name" in value && "input" in value && "output" in value && "run" in value)) return false;
  return (
    typeof value.name === "string" && isSchema(value.input) && isSchema(value.output) && typeof value.run === "function"
  );
}

/** https://standardschema.dev: the one property every schema has. Some libraries make schemas that are functions. */
function isSchema(value: unknown): boolean {
  return (typeof value === "object" || typeof value === "function") && value !== null && "~standard" in value;
}
