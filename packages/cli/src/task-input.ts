import type { TaskPlace } from "@quaymesh/gateway/client";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { CliError } from "./errors.ts";
import { fromJson } from "./ui/json.ts";

/**
 * Read `--on`: `device:NAME`, `label:X` or `any`.
 * @returns `undefined` for any node
 * @throws {CliError} `USAGE`
 */
export function taskPlace(text: string): TaskPlace | undefined {
  if (text === "any") return undefined;
  const [kind, ...rest] = text.split(":");
  const name = rest.join(":");
  if (kind === "device" && name !== "") return { device: name };
  if (kind === "label" && name !== "") return { label: name };
  throw new CliError("USAGE", `--on does not take "${text}"`, {
    hint: "Give device:NAME, label:LABEL or any.",
  });
}

/**
 * Read `--input`: JSON, `@FILE` with JSON, or `-` for JSON on standard input.
 * @throws {CliError} `INPUT_INVALID`, `FILE_NOT_FOUND`
 */
export async function taskInput(text: string, stdin: Readable): Promise<unknown> {
  const from = text === "-" ? "standard input" : text.startsWith("@") ? text.slice(1) : "--input";
  const json = text === "-" ? await readAll(stdin) : text.startsWith("@") ? await readText(text.slice(1)) : text;
  try {
    return fromJson(JSON.parse(json));
  } catch (cause) {
    throw new CliError("INPUT_INVALID", `${from} is not JSON`, {
      cause,
      hint: 'Text needs its quotes, as in --input \'"hello"\'; bytes are written { "$bytes": "<base64>" }.',
    });
  }
}

async function readAll(stdin: Readable): Promise<string> {
  return (await buffer(stdin)).toString("utf8");
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `the input ${file} cannot be read`, { cause, hint: "Check the file's name." });
  }
}
