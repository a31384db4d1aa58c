import { readFile, stat } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { ok, wrong, type Check } from "@quaymesh/protocol";
import { connect } from "../client/connect.ts";
import { ClientError } from "../client/errors.ts";
import type { GatewayDoctorContext } from "./context.ts";

/** Whether the gateway runs, and what it says of itself. */
export const processCheck: Check<GatewayDoctorContext> = {
  name: "process",
  needs: ["state"],
  async run(context) {
    const { layout, clock, signal } = context;
    try {
      await using gateway = await connect({ state: layout.directory, ...(signal && { signal }) });
      const [status, stats, diagnosis] = await Promise.all([gateway.status(), gateway.stats(), gateway.diagnosis()]);
      context.running = { status, stats, diagnosis };
      const seconds = Math.round((clock.now() - (status.startedAt ?? clock.now())) / 1000);
      const seen = `process ${diagnosis.pid} runs for ${seconds} s, version ${status.version}, mesh "${status.meshName}"`;
      return ok(seen, { isRunning: true, pid: diagnosis.pid, version: status.version });
    } catch (cause) {
      signal?.throwIfAborted();
      if (!(cause instanceof ClientError)) throw cause;
      if (cause.code !== "GATEWAY_UNREACHABLE") {
        const fix = "Run this as the user who runs the gateway, or with a build as new as its own.";
        return wrong("failed", `it runs and cannot be asked: ${cause.message}`, { code: cause.code, fix });
      }
    }
    if (!(await isLocked(layout.lock))) {
      const rest = {
        code: "GATEWAY_UNREACHABLE",
        fix: "Start it with:  quaymesh gateway run",
        details: { isRunning: false },
      };
      return wrong("warning", "it does not run; what follows is looked at on the disk", rest);
    }
    const pid = await readFile(layout.pid, "utf8").then(
      (text) => text.trim(),
      () => "unknown",
    );
    const fix = "Look at its log; if it does not answer, end that process and start it again.";
    const rest = { code: "GATEWAY_UNREACHABLE", fix, details: { isRunning: true, pid } };
    return wrong("failed", `process ${pid} holds the state, and its admin socket does not answer`, rest);
  },
};

/** Looked at and let go at once; nothing is made where there is no lock file. */
async function isLocked(path: string): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return false;
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return false;
  } catch {
    return true;
  } finally {
    database.close();
  }
}
