/** The task definitions the demo's node offers: `quaymesh node run --tasks` loads this module, and the submitter takes its types from it. */
import { setImmediate as turn } from "node:timers/promises";
import { defineTask } from "@quaymesh/node";
import { digestAll, digestFile, type FileDigest, type SentFile } from "./digest.ts";

/** A Standard Schema (https://standardschema.dev) around a check; zod, valibot, arktype and typebox make richer ones. */
function schema<T>(expected: string, fits: (value: unknown) => value is T) {
  return {
    "~standard": {
      version: 1 as const,
      vendor: "quaymesh-demo",
      validate: (value: unknown) => (fits(value) ? { value } : { issues: [{ message: `expected ${expected}` }] }),
      // Never read: it only carries the types.
      types: undefined as { readonly input: T; readonly output: T } | undefined,
    },
  };
}

/** What `files.digest` takes. */
export interface DigestInput {
  readonly files: readonly SentFile[];
}

/** What `files.digest` gives back: one digest a file, in the order sent, and one over all. */
export interface DigestOutput {
  readonly files: readonly FileDigest[];
  readonly digest: string;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isInput(value: unknown): value is DigestInput {
  if (!isRecord(value) || !Array.isArray(value["files"])) return false;
  return value["files"].every(
    (file: unknown) => isRecord(file) && typeof file["path"] === "string" && file["content"] instanceof Uint8Array,
  );
}

function isOutput(value: unknown): value is DigestOutput {
  if (!isRecord(value) || !Array.isArray(value["files"]) || typeof value["digest"] !== "string") return false;
  return value["files"].every((file: unknown) => isRecord(file) && typeof file["sha256"] === "string");
}

/** Files between two progress reports. */
const REPORT_EVERY = 16;

/** SHA-256, lines and bytes of every file it is sent. It reads nothing from its own disk. */
export const filesDigest = defineTask({
  name: "files.digest",
  input: schema("files with their contents", isInput),
  output: schema("a digest of each file", isOutput),
  async run({ files }, context) {
    const digests: FileDigest[] = [];
    let empty = 0;
    for (const file of files) {
      context.signal.throwIfAborted();
      digests.push(digestFile(file));
      if (file.content.length === 0) empty += 1;
      if (digests.length % REPORT_EVERY !== 0) continue;
      context.progress(digests.length / files.length, `${digests.length} of ${files.length} files`);
      await turn();
    }
    if (empty > 0) context.log(`${empty} of the files are empty`);
    context.log(`${files.length} files digested in attempt ${context.attempt}`);
    context.progress(1, `${files.length} of ${files.length} files`);
    return { files: digests, digest: digestAll(digests) };
  },
});
