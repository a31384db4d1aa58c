import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { TASK_ID } from "./support/fake-gateway.ts";
import { openScene } from "./support/scene.ts";

it("reports an attempt that died with its process as failed, to be tried again, and only once", async () => {
  await using it = await openScene();
  await it.node.stop();
  await killWhileRunning(it.state);
  await it.open();
  await it.start();
  await it.gateway.until(() => it.gateway.results().length === 1);
  expect(it.gateway.results()).toEqual([
    {
      taskId: TASK_ID,
      token: 7,
      outcome: "failed",
      outputChunks: 0,
      outputBytes: 0,
      error: { code: "NODE_RESTARTED", message: expect.any(String), retryable: true },
    },
  ]);
  await it.node.stop();
  await it.open();
  await it.start();
  expect(it.node.unacknowledged).toBe(0);
  expect(it.gateway.results()).toHaveLength(1);
});

it("does not block the next process with the lock of one that was killed", async () => {
  await using it = await openScene();
  await it.node.stop();
  await killWhileRunning(it.state);
  await it.open();
});

/** A node in a process of its own, killed while it runs a task. */
async function killWhileRunning(state: string): Promise<void> {
  const script = join(import.meta.dirname, "support", "node-child.ts");
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", script, state], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = new Promise<NodeJS.Signals | null>((resolve) => child.once("close", (_, signal) => resolve(signal)));
  for await (const line of createInterface({ input: child.stdout })) if (line === "running") child.kill("SIGKILL");
  expect(await closed).toBe("SIGKILL");
}
