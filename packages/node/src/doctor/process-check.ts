import { stat } from "node:fs/promises";
import { ok, wrong, type Check } from "@quaymesh/protocol";
import { readNodeStatus, type ReportedState } from "../state/status.ts";
import type { NodeDoctorContext } from "./context.ts";

/** Whether the node runs, and what it last said. A doctor looks beside it and takes nothing over. */
export const processCheck: Check<NodeDoctorContext> = {
  name: "process",
  needs: ["identity"],
  async run(context) {
    const { layout, clock } = context;
    // Looking at a lock that is not there would make one.
    const everRan = await stat(layout.lock).then(
      () => true,
      () => false,
    );
    if (!everRan) return ok("never ran; start it with  quaymesh node run", { isRunning: false });
    const { isRunning, reported, isReportDamaged } = await readNodeStatus(layout.directory);
    if (isReportDamaged) {
      const fix = `Look at the disk. The next change of the node's state replaces ${layout.status}`;
      return wrong("warning", "what the node last said is damaged", {
        code: "STATE_CORRUPT",
        fix,
        details: { isRunning },
      });
    }
    if (reported !== undefined) context.reported = reported;
    const details = { isRunning, ...(reported && { pid: reported.pid, state: reported.kind }) };
    if (!isRunning) return ok("does not run; start it with  quaymesh node run", details);
    if (reported === undefined) return ok("runs, and has not said how it is", details);
    const since = Math.max(0, Math.round((clock.now() - reported.at) / 1000));
    const who = `process ${reported.pid} is ${reported.kind} for ${since} s`;
    return reported.error === undefined ? ok(who, details) : troubled(who, reported.error, details);
  },
};

function troubled(who: string, error: NonNullable<ReportedState["error"]>, details: Record<string, unknown>) {
  return wrong("warning", `${who}: ${error.message}`, {
    code: error.code,
    fix: "What follows looks for the reason.",
    details: { ...details, error: error.code },
  });
}
