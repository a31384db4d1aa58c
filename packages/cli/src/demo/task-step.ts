import type { GatewayClient } from "@quaymesh/gateway/client";
import { count, size, span } from "../ui/format.ts";
import { digestAll, digestFile, type SentFile } from "./digest.ts";
import { expect } from "./error.ts";
import type { DemoNode } from "./pair-step.ts";
import { repositoryFiles } from "./repository.ts";
import type { Screen } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";
import { filesDigest } from "./tasks.ts";

/** Step 4: every file of this repository is sent to the node, and what it works out is what comes out here. */
export async function offloadTask(
  stage: Stage,
  screen: Screen,
  gateway: GatewayClient,
  node: DemoNode,
): Promise<Outcome<void>> {
  const files = await repositoryFiles();
  const local = files.map(digestFile);
  const bytes = local.reduce((sum, file) => sum + file.bytes, 0);
  const startedAt = performance.now();
  const { output, progressReports, logLines } = await digestOn(stage, screen, gateway, node, files);
  const ms = performance.now() - startedAt;
  const digest = digestAll(local);
  expect(output.digest === digest, () => `the node says ${output.digest}, this side says ${digest}`);
  const differing = local.find((file, index) => JSON.stringify(file) !== JSON.stringify(ordered(output.files[index])));
  expect(differing === undefined, () => `the node's result for ${differing?.path ?? "a file"} differs`);
  return {
    facts: { files: files.length, bytes, digest, taskMs: Math.round(ms), progressReports, logLines },
    lines: [
      `${count(files.length)} files, ${size(bytes)}, sent to ${node.name} and digested in ${span(ms)}`,
      `sha256 ${digest.slice(0, 16)}… there and here`,
    ],
    value: undefined,
  };
}

/** Run the task on one node, showing what it reports. */
export async function digestOn(
  stage: Stage,
  screen: Screen,
  gateway: GatewayClient,
  node: DemoNode,
  files: readonly SentFile[],
) {
  const { signal } = stage;
  const task = await gateway.tasks.submit(
    filesDigest,
    { files },
    { on: { device: node.deviceId }, idempotent: true, signal },
  );
  let progressReports = 0;
  let logLines = 0;
  let lastProgress = 0;
  let said = "";
  for await (const { state, progress, progressMessage, log } of task.updates({ signal })) {
    said = progressMessage;
    if (log !== undefined) {
      logLines += 1;
      screen.note(log.message);
    }
    if (state === "running" && progress > lastProgress) {
      progressReports += 1;
      lastProgress = progress;
      screen.progress(Math.round(progress * files.length), files.length, "files");
    }
  }
  const output = await task.result({ signal });
  // How many reports come in time is the machine's affair; the last one and every line must have come.
  expect(said === `${files.length} of ${files.length} files`, () => `the node's last report of progress is "${said}"`);
  expect(logLines > 0, () => "no log line came from the node");
  return { output, progressReports, logLines };
}

/** CBOR maps carry no order of their own; JSON text does. */
function ordered(file: { path: string; sha256: string; lines: number; bytes: number } | undefined): object {
  return { path: file?.path, sha256: file?.sha256, lines: file?.lines, bytes: file?.bytes };
}
